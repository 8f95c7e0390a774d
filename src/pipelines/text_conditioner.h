#pragma once

#include <memory>
#include <string>
#include <vector>

#include "models/denoiser.h"
#include "pipelines/clip_encoder.h"
#include "pipelines/conditioner.h"

namespace reprise::pipelines {

/// Prompts to conditioning with one CLIP text encoder (Stable Diffusion 1.x, 2.x) or two (XL; of which the
/// first may be null), as diffusers' pipelines encode them.
class TextConditioner final : public Conditioner {
  public:
    TextConditioner(const std::shared_ptr<const ModelSource>& source, const Engine& engine,
                    const LoadOptions& options);

    bool honours(options::About about) const override;
    void check(const GenerateOptions& options) const override;
    std::vector<models::Conditioning> encode(const GenerateOptions& options, const std::string& prompt,
                                             bool guidance) const override;
    void release_large() const override;
    TextLength text_length(const GenerateOptions& /*options*/) const override {
        return TextLength::fixed(encoders_.front().tokens());
    }
    std::int64_t text_width() const override;
    std::int64_t pooled_width() const override { return encoders_[pooled_of_].config().pooled_width(); }

  private:
    models::Conditioning encode_texts(const std::vector<std::string>& texts, int clip_skip,
                                      const Caller& caller) const;
    bool two_encoders() const { return encoders_.size() == 2; }

    bool force_zeros_ = false;
    std::size_t pooled_of_ = 0;  ///< which of encoders_ gives the pooled text, where one does
    std::vector<ClipEncoder> encoders_;
};

}  // namespace reprise::pipelines
