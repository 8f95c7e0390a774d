#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/denoiser.h"
#include "options/row.h"
#include "pipelines/text_length.h"
#include "reprise/pipeline.h"

namespace reprise::pipelines {

/// Prompts to what guides a denoiser, as one family of diffusers' pipelines encodes them. Text encoders are
/// compiled when first needed. Thread-safe.
class Conditioner {
  public:
    Conditioner() = default;
    Conditioner(const Conditioner&) = delete;
    Conditioner& operator=(const Conditioner&) = delete;
    virtual ~Conditioner() = default;

    /// Whether these encoders have what such options are about.
    virtual bool honours(options::About about) const = 0;
    /// Usage error for values that these encoders cannot have; nothing is read or run.
    virtual void check(const GenerateOptions& options) const = 0;
    /// Batches of one: unconditional first, or the conditional alone without guidance. `options` has its
    /// defaults filled in. Warns, quoting, where a prompt is cut.
    virtual std::vector<models::Conditioning> encode(const GenerateOptions& options,
                                                     const std::string& prompt, bool guidance) const = 0;
    /// Frees the compiled encoders that are larger than what may stay.
    virtual void release_large() const = 0;
    /// Of a picture's texts, both halves.
    virtual TextLength text_length(const GenerateOptions& options) const = 0;
    /// encoder_hidden_states is (1, tokens, text_width), text_embeds (1, pooled_width).
    virtual std::int64_t text_width() const = 0;
    virtual std::int64_t pooled_width() const = 0;
};

}  // namespace reprise::pipelines
