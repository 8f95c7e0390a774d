#include "cachify/describe_policies.h"

#include "cachify/policies.h"

namespace reprise::cachify {

namespace {

using Ordered = nlohmann::ordered_json;
using Type = PolicyParameter::Type;

std::string_view name_of(Type type) {
    switch (type) {
        case Type::number:
            return "number";
        case Type::whole:
            return "whole";
        case Type::yes:
            return "yes";
        case Type::text:
            return "text";
    }
    return "";
}

Ordered default_of(const PolicyParameter& parameter) {
    if (parameter.type == Type::text) return nullptr;
    const double otherwise = parameter.otherwise();
    return parameter.type == Type::number ? Ordered(otherwise) : Ordered(static_cast<int>(otherwise));
}

}  // namespace

Ordered describe_policies() {
    auto list = Ordered::array();
    for (const NamedPolicy& policy : policies()) {
        auto parameters = Ordered::array();
        for (const auto& known : {policy.parameters, common_parameters()})
            for (const PolicyParameter& parameter : known)
                parameters.push_back(
                    {{"name", parameter.name},
                     {"type", name_of(parameter.type)},
                     {"default", default_of(parameter)},
                     {"least", parameter.type == Type::whole ? Ordered(parameter.least) : Ordered()},
                     {"required", parameter.required},
                     {"meaning", parameter.meaning}});
        list.push_back({{"name", policy.name}, {"source", policy.source}, {"parameters", parameters}});
    }
    return list;
}

}  // namespace reprise::cachify
