#include "models/denoiser.h"

#include <algorithm>

#include "reprise/error.h"

namespace reprise::models {

const Tensor& given(const Conditioning& conditioning, std::string_view name) {
    const auto found = conditioning.find(name);
    if (found == conditioning.end() || !found->second.defined())
        failure("the denoiser takes '{}', which nothing gives it", name);
    return found->second;
}

std::ptrdiff_t DenoiserTraits::place_of(Axis axis) const {
    const auto found = std::find(axes.begin(), axes.end(), axis);
    return found == axes.end() ? -1 : found - axes.begin();
}

Shape DenoiserTraits::latents(const DenoiserShape& shape) const {
    Shape result;
    for (const Axis axis : axes) {
        switch (axis) {
            case Axis::pictures:
                result.push_back(shape.batch);
                break;
            case Axis::frames:
                result.push_back(shape.frames);
                break;
            case Axis::channels:
                result.push_back(in_channels);
                break;
            case Axis::height:
                result.push_back(shape.height);
                break;
            case Axis::width:
                result.push_back(shape.width);
                break;
        }
    }
    return result;
}

std::optional<graph::InputAttrs> Denoiser::input(std::string_view name) const {
    for (auto& each : inputs({1, 1, 1, 1, 1}))
        if (each.name == name) return each;
    return {};
}

std::int64_t Denoiser::width_of(std::string_view input) const {
    const auto found = this->input(input);
    return found ? found->shape.back() : 0;
}

graph::InputAttrs fixed_input(std::string name, Shape shape) {
    return {std::move(name), DType::f32, std::move(shape), graph::When::fixed, true, false};
}

graph::InputAttrs latents_input(Shape shape) {
    return {"sample", DType::f32, std::move(shape), graph::When::step, false, true};
}

graph::InputAttrs timestep_input(std::int64_t width) {
    return {"timestep_embedding", DType::f32, {1, width}};
}

}  // namespace reprise::models
