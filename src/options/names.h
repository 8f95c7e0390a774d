#pragma once

#include <span>
#include <string>
#include <string_view>

#include "reprise/cachify.h"
#include "reprise/pipeline.h"

namespace reprise::options {

/// A value of an enum by the name that users know it by.
template <class E>
struct Named {
    std::string_view name;
    E value;
};

/// The values of an enum that options may have, with their names: the only place that has them.
template <class E>
std::span<const Named<E>> names_of();
template <>
std::span<const Named<GuidanceMode>> names_of<GuidanceMode>();  ///< "auto", "batched", "split"
template <>
std::span<const Named<Fit>> names_of<Fit>();
template <>
std::span<const Named<DType>> names_of<DType>();  ///< the precisions that a model may run in
template <>
std::span<const Named<cachify::Count>> names_of<cachify::Count>();

template <class E>
std::string_view name_of(E value) {
    for (const Named<E>& each : names_of<E>())
        if (each.value == value) return each.name;
    return "?";
}

/// The value of this name. Usage error with all names for another; `what` is what it was given as.
template <class E>
E value_of(std::string_view name, std::string_view what);
extern template GuidanceMode value_of(std::string_view, std::string_view);
extern template Fit value_of(std::string_view, std::string_view);
extern template DType value_of(std::string_view, std::string_view);
extern template cachify::Count value_of(std::string_view, std::string_view);

}  // namespace reprise::options
