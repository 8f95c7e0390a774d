#pragma once

#include <memory>
#include <string>
#include <vector>

#include "pipelines/conditioner.h"
#include "pipelines/t5_text.h"

namespace reprise::pipelines {

/// Prompts to conditioning for PixArt, as diffusers' PixArtAlphaPipeline (120 tokens) and PixArtSigmaPipeline
/// (300) encode them: tidied or lower-cased text, T5 with its padding masked, and the picture's size.
class PixArtConditioner final : public Conditioner {
  public:
    PixArtConditioner(const std::shared_ptr<const ModelSource>& source, const Engine& engine,
                      const LoadOptions& options);

    bool honours(options::About about) const override;
    void check(const GenerateOptions& options) const override;
    std::vector<models::Conditioning> encode(const GenerateOptions& options, const std::string& prompt,
                                             bool guidance) const override;
    void release_large() const override { encoder_.release_large(); }
    TextLength text_length(const GenerateOptions& options) const override {
        return TextLength::fixed(tokens(options));
    }
    std::int64_t text_width() const override { return encoder_.width(); }
    std::int64_t pooled_width() const override { return 0; }

  private:
    std::int64_t tokens(const GenerateOptions& options) const {
        return options.max_sequence_length.value_or(default_tokens_);
    }

    T5Text encoder_;
    int default_tokens_;
};

}  // namespace reprise::pipelines
