#include "cachify/policy_parameter.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "files/printable.h"
#include "reprise/error.h"

namespace reprise::cachify {

namespace {

using Type = PolicyParameter::Type;

double number_of(std::string_view policy, const PolicyParameter& parameter, std::string_view given) {
    constexpr double kMost = 1e6;  // of whole numbers
    double number = 0;
    const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), number);
    if (error != std::errc() || end != given.data() + given.size() || !std::isfinite(number))
        usage_error("{}: {} is '{}'; expected a number", policy, parameter.name, printable(given));
    if (parameter.type == Type::yes && number != 0 && number != 1)
        usage_error("{}: {} is {}; expected 0 or 1", policy, parameter.name, number);
    if (parameter.type == Type::whole &&
        (number != std::floor(number) || number < parameter.least || number > kMost))
        usage_error("{}: {} is {}; expected a whole number of at least {}", policy, parameter.name, number,
                    parameter.least);
    return number;
}

}  // namespace

std::vector<PolicyValue> read_policy_values(std::string_view policy,
                                            const std::vector<std::span<const PolicyParameter>>& parameters,
                                            std::string_view text) {
    std::vector<const PolicyParameter*> known;
    for (const auto& list : parameters)
        for (const PolicyParameter& parameter : list) known.push_back(&parameter);
    std::vector<PolicyValue> values;
    const auto value_for = [&](const PolicyParameter* parameter) {
        return std::ranges::find(values, parameter, &PolicyValue::parameter);
    };
    for (bool more = !text.empty(); more;) {
        const std::string_view one = text.substr(0, text.find(','));
        more = one.size() < text.size();
        text.remove_prefix(std::min(text.size(), one.size() + 1));
        const auto equals = one.find('=');
        const std::string_view name = one.substr(0, equals);
        const auto found = std::ranges::find(known, name, &PolicyParameter::name);
        if (found == known.end() || equals == std::string_view::npos) {
            std::vector<std::string_view> names;
            for (const PolicyParameter* parameter : known) names.push_back(parameter->name);
            usage_error("{}: '{}' is no parameter; there are {}, each as name=value", policy, printable(one),
                        fmt::join(names, ", "));
        }
        if (value_for(*found) != values.end()) usage_error("{}: {} is given twice", policy, name);
        const std::string_view given = one.substr(equals + 1);
        PolicyValue& value = values.emplace_back();
        value.parameter = *found;
        if ((*found)->type == Type::text)
            value.text = given;
        else
            value.number = number_of(policy, **found, given);
    }
    for (const PolicyParameter* parameter : known)
        if (parameter->required &&
            (value_for(parameter) == values.end() || value_for(parameter)->text.empty()))
            usage_error("{}: give {}=..., {}", policy, parameter->name, parameter->meaning);
    return values;
}

void set_values(std::span<const PolicyParameter> parameters, const std::vector<PolicyValue>& values,
                void* options) {
    for (const PolicyValue& value : values)
        if (value.parameter >= parameters.data() && value.parameter < parameters.data() + parameters.size())
            value.parameter->set(options, value.number, value.text);
}

}  // namespace reprise::cachify
