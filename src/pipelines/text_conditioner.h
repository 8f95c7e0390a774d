#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/model_folder.h"
#include "models/clip_text.h"
#include "models/denoiser.h"
#include "pipelines/component.h"
#include "text/clip_tokenizer.h"

namespace reprise::pipelines {

/// The texts of one picture.
struct PromptTexts {
    std::string prompt;
    std::optional<std::string> prompt_2, negative_prompt, negative_prompt_2;
};

/// Prompts to conditioning with one CLIP text encoder (Stable Diffusion 1.x, 2.x) or two (XL), as diffusers'
/// pipelines encode them. Encoders are compiled when first needed.
class TextConditioner {
  public:
    struct Options {
        Engine engine;
        std::string variant;
        std::int64_t keep_parameters_below = 0;
    };
    TextConditioner(const ModelFolder& folder, Options options);

    /// Conditional and, with `guidance`, unconditional encodings (without time ids), each for one picture:
    /// unconditional first. Warns, quoting, where a prompt is cut.
    std::vector<models::Conditioning> encode(const PromptTexts& texts, bool guidance,
                                             std::optional<int> clip_skip);
    /// Lets go of the compiled encoders that are larger than what is kept.
    void release_large();
    /// Tokens that encoders see: encoder_hidden_states is (1, tokens, text_width).
    std::int64_t tokens() const { return encoders_.front().tokenizer.max_length(); }
    std::int64_t text_width() const;
    std::int64_t pooled_width() const { return encoders_.back().config.pooled_width(); }

  private:
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

    Options options_;
    bool two_encoders_;
    bool force_zeros_;
    std::vector<Encoder> encoders_;
};

}  // namespace reprise::pipelines
