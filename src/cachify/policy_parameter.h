#pragma once

#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/member.h"

namespace reprise::cachify {

/// A parameter of a policy, on the command line and wherever a policy is a text: a member of the policy's
/// options, made from the pointer to it. Its default is the options' own.
struct PolicyParameter {
    enum class Type { number, whole, yes, text };

    std::string_view name;
    std::string_view meaning;  ///< with its unit
    int least = 0;             ///< of a whole number
    bool required = false;
    Type type = Type::number;
    double (*otherwise)() = nullptr;  ///< the default; null for a text, which is empty by default
    void (*set)(void* options, double number, const std::string& text) = nullptr;
};

/// The parameter of the member that this path leads to; of its facts name and meaning are given, of a whole
/// number the least.
template <auto First, auto... Rest>
constexpr PolicyParameter parameter(PolicyParameter facts) {
    using Options = typename OwnerOf<First>::Type;
    using Member = std::remove_reference_t<decltype(member_of<First, Rest...>(std::declval<Options&>()))>;
    using Type = PolicyParameter::Type;
    facts.type = std::is_same_v<Member, bool>     ? Type::yes
                 : std::is_same_v<Member, int>    ? Type::whole
                 : std::is_same_v<Member, double> ? Type::number
                                                  : Type::text;
    facts.set = [](void* options, double number, const std::string& text) {
        auto& member = member_of<First, Rest...>(*static_cast<Options*>(options));
        if constexpr (std::is_same_v<Member, std::string>)
            member = text;
        else
            member = static_cast<Member>(number);
    };
    if constexpr (!std::is_same_v<Member, std::string>)
        facts.otherwise = [] {
            const Options options{};
            return static_cast<double>(member_of<First, Rest...>(options));
        };
    return facts;
}

/// What was given for a parameter; `number` is of the parameter's type and domain.
struct PolicyValue {
    const PolicyParameter* parameter = nullptr;
    double number = 0;
    std::string text;
};

/// Reads "name=value,name=value". Error (usage), which begins with the policy's name, for what is none of
/// these parameters, is given twice, is outside of its domain, or is required and not given.
std::vector<PolicyValue> read_policy_values(std::string_view policy,
                                            const std::vector<std::span<const PolicyParameter>>& parameters,
                                            std::string_view text);

/// Sets what was given of these parameters.
void set_values(std::span<const PolicyParameter> parameters, const std::vector<PolicyValue>& values,
                void* options);

}  // namespace reprise::cachify
