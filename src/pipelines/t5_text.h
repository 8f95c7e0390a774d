#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/t5_encoder.h"
#include "pipelines/component.h"
#include "reprise/pipeline.h"
#include "text/t5_tokenizer.h"

namespace reprise::pipelines {

/// A T5 text encoder of a pipeline, with its tokenizer. One whose weights are more than a budget (by
/// default its engine's, in the precision that it runs in) is compiled, run and freed a few layers at a time,
/// so that T5-XXL needs less than 2 GB; a smaller one stays compiled. Thread-safe.
class T5Text {
  public:
    /// The encoder "text_encoder<suffix>" and the tokenizer "tokenizer<suffix>". Usage error when one is
    /// absent or they do not fit each other. Where the engine's precision is f16, which T5 overflows, it
    /// runs in the precision that the device prefers otherwise.
    T5Text(const std::shared_ptr<const ModelSource>& source, const std::string& suffix, const Engine& engine,
           const LoadOptions& options, std::optional<std::int64_t> part_bytes = {});

    struct Encoded {
        Tensor hidden_states;  ///< (1, tokens, width) f32
        Tensor mask;           ///< (1, tokens) f32: 1 for the text and its end, 0 for padding
    };
    /// How texts are encoded.
    struct Wanted {
        std::int64_t tokens = 0;  ///< longer texts are cut, shorter ones padded
        bool masked = true;       ///< whether padding is hidden from other tokens
    };
    /// All texts together, so that each part is compiled once. Warns, quoting, where one is cut.
    std::vector<Encoded> operator()(const std::vector<std::string>& texts, const Wanted& wanted,
                                    const Caller& caller = {}) const;

    /// Frees what was compiled if it is larger than what may stay.
    void release_large() const { component_.release_large(); }
    std::int64_t width() const { return config_.d_model; }
    const models::T5EncoderConfig& config() const { return config_; }
    /// Of the parts, their layers.
    const std::vector<models::T5Part>& parts() const { return parts_; }

  private:
    models::T5EncoderConfig config_;
    T5Tokenizer tokenizer_;
    Component component_;  ///< compiled by part, number of tokens and whether padding is hidden
    std::vector<models::T5Part> parts_;
};

}  // namespace reprise::pipelines
