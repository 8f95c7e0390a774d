#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/denoiser.h"
#include "reprise/pipeline.h"

namespace reprise::pipelines {

/// Prompts to what guides a denoiser, as one family of diffusers' pipelines encodes them. Text encoders are
/// compiled when first needed. Not thread-safe.
class Conditioner {
  public:
    /// The texts and the size of one picture. `options` has its defaults filled in.
    struct Request {
        const GenerateOptions& options;
        const std::string& prompt;
        int height = 0, width = 0;  ///< in pixels
        bool guidance = false;      ///< whether the unconditional half is wanted too
    };

    Conditioner() = default;
    Conditioner(const Conditioner&) = delete;
    Conditioner& operator=(const Conditioner&) = delete;
    virtual ~Conditioner() = default;

    /// Usage error for options that these encoders cannot honour; nothing is read or run.
    virtual void check(const GenerateOptions& options) const = 0;
    /// Batches of one: unconditional first, or the conditional alone without guidance. Warns, quoting, where
    /// a prompt is cut.
    virtual std::vector<models::Conditioning> encode(const Request& request) = 0;
    /// Lets go of the compiled encoders that are larger than what is kept.
    virtual void release_large() = 0;
    /// encoder_hidden_states is (1, tokens, text_width), text_embeds (1, pooled_width).
    virtual std::int64_t tokens(const GenerateOptions& options) const = 0;
    virtual std::int64_t text_width() const = 0;
    virtual std::int64_t pooled_width() const = 0;
};

}  // namespace reprise::pipelines
