#include "options/names.h"

#include <array>

#include "files/printable.h"
#include "reprise/error.h"

namespace reprise::options {

namespace {

constexpr auto kGuidanceModes = std::to_array<Named<GuidanceMode>>(
    {{"auto", GuidanceMode::automatic}, {"batched", GuidanceMode::batched}, {"split", GuidanceMode::split}});
constexpr auto kFits = std::to_array<Named<Fit>>(
    {{"stretch", Fit::stretch}, {"crop", Fit::crop}, {"letterbox", Fit::letterbox}});
constexpr auto kCounts = std::to_array<Named<cachify::Count>>(
    {{"steps", cachify::Count::steps}, {"evaluations", cachify::Count::evaluations}});

}  // namespace

template <>
std::span<const Named<GuidanceMode>> names_of<GuidanceMode>() {
    return kGuidanceModes;
}
template <>
std::span<const Named<Fit>> names_of<Fit>() {
    return kFits;
}
template <>
std::span<const Named<DType>> names_of<DType>() {
    static const auto precisions = [] {
        std::array<Named<DType>, 3> named = {{{"", DType::f32}, {"", DType::bf16}, {"", DType::f16}}};
        for (auto& [name, type] : named) name = reprise::name_of(type);
        return named;
    }();
    return precisions;
}
template <>
std::span<const Named<cachify::Count>> names_of<cachify::Count>() {
    return kCounts;
}

template <class E>
E value_of(std::string_view name, std::string_view what) {
    std::string expected;
    for (const Named<E>& each : names_of<E>()) {
        if (each.name == name) return each.value;
        (expected += expected.empty() ? "" : ", ") += each.name;
    }
    usage_error("{} is \"{}\", expected one of {}", what, printable(name), expected);
}
template GuidanceMode value_of(std::string_view, std::string_view);
template Fit value_of(std::string_view, std::string_view);
template DType value_of(std::string_view, std::string_view);
template cachify::Count value_of(std::string_view, std::string_view);

}  // namespace reprise::options
