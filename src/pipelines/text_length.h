#pragma once

#include <cstdint>
#include <vector>

namespace reprise::pipelines {

/// How many tokens the text of a picture has: of both halves of guidance the same, whatever other pictures of
/// the call have. Longer texts are cut, shorter ones padded with the tokenizer's pad token.
struct TextLength {
    enum class Rule : std::uint8_t {
        fixed,     ///< always the most, as diffusers pads
        multiple,  ///< a multiple of `unit`; the padding is text to the denoiser
        masked,    ///< one of `buckets`; the padding is hidden from the denoiser
    };
    Rule rule = Rule::fixed;
    std::int64_t most = 77;
    std::int64_t unit = 1;
    std::vector<std::int64_t> buckets = {};  ///< ascending; the last is the most

    static TextLength fixed(std::int64_t tokens) { return {Rule::fixed, tokens}; }
    static TextLength multiple_of(std::int64_t unit, std::int64_t most) {
        return {Rule::multiple, most, unit};
    }
    /// Error (failure) unless the buckets ascend from 1 on.
    static TextLength masked(std::vector<std::int64_t> buckets);

    /// Of a picture whose longest text has so many tokens.
    std::int64_t of(std::int64_t tokens) const;
};

}  // namespace reprise::pipelines
