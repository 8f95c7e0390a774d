#include "core/finite.h"

#include <cstdint>
#include <span>

namespace reprise {

namespace {

/// Whether any element's magnitude, as bits, is above `most`; without branches, so that it is vectorized.
template <class Word>
bool any_above(std::span<const Word> words, Word magnitude, Word most) {
    bool found = false;
    for (const Word word : words) found |= static_cast<Word>(word & magnitude) > most;
    return found;
}

/// Whether any element is NaN, "exponent all ones, fraction not zero", or else infinite where that counts
/// too.
bool any(const Tensor& tensor, bool infinite) {
    const std::uint32_t less = infinite ? 1 : 0;
    const auto halves = [&](std::uint16_t infinity) {
        return any_above<std::uint16_t>(tensor.span<std::uint16_t>(), 0x7fff,
                                        static_cast<std::uint16_t>(infinity - less));
    };
    switch (tensor.type()) {
        case DType::f32:
            return any_above<std::uint32_t>(tensor.span<std::uint32_t>(), 0x7fffffffU, 0x7f800000U - less);
        case DType::bf16:
            return halves(0x7f80);
        case DType::f16:
            return halves(0x7c00);
        default:
            return false;
    }
}

}  // namespace

bool is_finite(const Tensor& tensor) {
    return !any(tensor, true);
}
bool has_nan(const Tensor& tensor) {
    return any(tensor, false);
}

}  // namespace reprise
