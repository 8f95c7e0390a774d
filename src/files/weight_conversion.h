#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "files/checkpoint.h"
#include "reprise/dtype.h"

namespace reprise {

/// Elements of one floating type at any address, to be written as another.
struct Conversion {
    DType from = DType::f32;
    const std::byte* source = nullptr;
    DType to = DType::f32;        ///< f32, f16 or bf16
    std::byte* target = nullptr;  ///< aligned for its type
    std::size_t count = 0;
};

/// Converts, rounding to nearest even; f64 goes by way of f32.
void convert_elements(const Conversion& conversion);

/// The names of a checkpoint's floating tensors that are stored in another type than this.
std::vector<std::string> names_to_convert(const Checkpoint& checkpoint, DType precision);

/// A checkpoint whose floating tensors are given in one precision: those stored in another are converted
/// into memory of their own each time they are asked for.
class ConvertingWeights final : public WeightSource {
  public:
    ConvertingWeights(std::shared_ptr<const Checkpoint> checkpoint, DType precision)
        : checkpoint_(std::move(checkpoint)), precision_(precision) {}

    std::optional<Weight> weight(std::string_view name) const override;
    std::optional<Shape> shape(std::string_view name) const override { return checkpoint_->shape(name); }
    std::vector<std::string> names() const override { return checkpoint_->names(); }
    using WeightSource::identity;
    std::string identity(std::string_view name) const override { return checkpoint_->identity(name); }
    void release_pages() const override { checkpoint_->release_pages(); }
    std::string description() const override { return checkpoint_->description(); }

  private:
    std::shared_ptr<const Checkpoint> checkpoint_;
    DType precision_;
};

}  // namespace reprise
