#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/model_folder.h"
#include "models/clip_text.h"
#include "models/denoiser.h"
#include "pipelines/component.h"
#include "pipelines/conditioner.h"
#include "text/clip_tokenizer.h"

namespace reprise::pipelines {

/// Prompts to conditioning with one CLIP text encoder (Stable Diffusion 1.x, 2.x) or two (XL), as diffusers'
/// pipelines encode them.
class TextConditioner final : public Conditioner {
  public:
    TextConditioner(const ModelFolder& folder, Engine engine, const LoadOptions& options);

    void check(const GenerateOptions& options) const override;
    std::vector<models::Conditioning> encode(const Request& request) override;
    void release_large() override;
    std::int64_t tokens(const GenerateOptions& /*options*/) const override { return tokens(); }
    std::int64_t text_width() const override;
    std::int64_t pooled_width() const override { return encoders_.back().config.pooled_width(); }

  private:
    std::int64_t tokens() const { return encoders_.front().tokenizer.max_length(); }

    struct Encoder {
        std::string name;  ///< the component's: "text_encoder_2"
        models::ClipTextConfig config;
        ClipTokenizer tokenizer;
        std::filesystem::path folder;
        std::unique_ptr<CompiledGraph> compiled;
        int compiled_skip = -1;
        std::int64_t parameters = 0;
    };
    struct Encoded {
        Tensor hidden, pooled;
    };
    Encoded run(Encoder& encoder, const std::string& text, int clip_skip);
    models::Conditioning encode_texts(const std::vector<std::string>& texts, int clip_skip);

    Engine engine_;
    std::string variant_;
    std::int64_t keep_parameters_below_;
    bool two_encoders_;
    bool force_zeros_;
    std::vector<Encoder> encoders_;
};

}  // namespace reprise::pipelines
