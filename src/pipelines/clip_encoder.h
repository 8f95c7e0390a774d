#pragma once

#include <memory>
#include <optional>
#include <string>

#include "models/clip_text.h"
#include "pipelines/component.h"
#include "reprise/pipeline.h"
#include "text/clip_tokenizer.h"

namespace reprise::pipelines {

/// One CLIP text encoder of a pipeline, with its tokenizer. Thread-safe.
class ClipEncoder {
  public:
    /// What a pipeline takes of it.
    struct Wanted {
        std::int64_t hidden_state = 2;  ///< from the end, without clip_skip: 1 is the last layer's
        bool final_norm = false;        ///< of the hidden states
        bool pooled = false;
        bool all_vectors = false;  ///< names of textual inversions stand for all their vectors
        std::int64_t tokens = 0;   ///< that the text is padded or cut to; 0: the tokenizer's own number
    };
    /// The encoder "text_encoder<suffix>" and the tokenizer "tokenizer<suffix>". Usage error when one is
    /// absent or they do not fit each other.
    ClipEncoder(const std::shared_ptr<const ModelSource>& source, const std::string& suffix, Wanted wanted,
                Engine engine, const LoadOptions& options);

    struct Encoded {
        Tensor hidden_states;  ///< (1, tokens, hidden_size) f32
        Tensor pooled;         ///< (1, pooled_width) f32; undefined unless wanted
        std::string warning;   ///< that the text was cut, and where; or empty
    };
    /// Usage error for a token that the encoder has no row for.
    Encoded operator()(const std::string& text, int clip_skip, const Caller& caller) const;

    /// Usage error when the encoder has too few layers for it.
    void check_clip_skip(int clip_skip) const;
    /// Frees what was compiled if it is larger than what may stay.
    void release_large() const { component_.release_large(); }
    std::int64_t tokens() const { return wanted_.tokens > 0 ? wanted_.tokens : tokenizer_.max_length(); }
    const models::ClipTextConfig& config() const { return config_; }
    /// What to call it in messages: its folder.
    std::string where() const { return component_.where(); }

  private:
    Wanted wanted_;
    models::ClipTextConfig config_;
    ClipTokenizer tokenizer_;
    Component component_;  ///< compiled by clip_skip
};

/// What each encoder makes of its text. They work side by side, for an engine compiles mostly on one thread.
/// Warns, quoting, where a text is cut.
std::vector<ClipEncoder::Encoded> encode(const std::vector<ClipEncoder>& encoders,
                                         const std::vector<std::string>& texts, int clip_skip,
                                         const Caller& caller);

/// Usage error unless both see as many tokens.
void check_equal_tokens(const ClipEncoder& first, const ClipEncoder& second);

/// (..., A) and (..., B), f32, to (..., A + B); equal in the other dimensions.
Tensor beside(const Tensor& a, const Tensor& b);

/// The text for a further encoder: as in diffusers, none and an empty one mean the first encoder's.
std::string text_or(const std::optional<std::string>& text, const std::string& first);

}  // namespace reprise::pipelines
