#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pipelines/clip_encoder.h"
#include "pipelines/conditioner.h"
#include "pipelines/t5_text.h"

namespace reprise::pipelines {

/// Prompts to conditioning for Stable Diffusion 3, as diffusers' StableDiffusion3Pipeline.encode_prompt does:
/// two CLIP encoders' penultimate states side by side, filled up with zeros (or cut) to the joint width,
/// followed by T5's tokens, padding included and without a mask; and both pooled texts side by side. Without
/// T5 its tokens are zeros.
class Sd3Conditioner final : public Conditioner {
  public:
    Sd3Conditioner(const std::shared_ptr<const ModelSource>& source, const Engine& engine,
                   const LoadOptions& options);

    bool honours(options::About about) const override;
    void check(const GenerateOptions& options) const override;
    std::vector<models::Conditioning> encode(const GenerateOptions& options, const std::string& prompt,
                                             bool guidance) const override;
    void release_large() const override;
    /// CLIP's and, as max_sequence_length asks, T5's.
    TextLength text_length(const GenerateOptions& options) const override;
    std::int64_t text_width() const override { return width_; }
    std::int64_t pooled_width() const override;

  private:
    /// The texts of one half of guidance.
    struct Texts {
        std::string first, second, third;
        int clip_skip = 0;
    };

    /// Writes T5's tokens behind CLIP's.
    void add_t5(const std::vector<Texts>& halves, std::int64_t tokens, const Caller& caller,
                std::vector<models::Conditioning>& result) const;

    std::vector<ClipEncoder> encoders_;
    std::optional<T5Text> t5_;
    std::int64_t width_ = 0;  ///< of what the denoiser takes
};

}  // namespace reprise::pipelines
