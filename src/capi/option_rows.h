#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "files/json.h"
#include "files/printable.h"
#include "reprise/error.h"
#include "reprise/pipeline.h"

namespace reprise::capi {

/// What errors about options call the JSON text.
inline constexpr const char* kOrigin = "the options";

/// Reads the value of an object's key into a member. A value of another type is an Error (usage) that names
/// the key; null is a value of optional members alone.
template <class T>
void read(T& member, const Json& object, const std::string& key) {
    member = require<T>(object, key, kOrigin);
}
void read(std::uint64_t& member, const Json& object, const std::string& key);
void read(std::pair<int, int>& member, const Json& object, const std::string& key);
void read(GuidanceMode& member, const Json& object, const std::string& key);
void read(Fit& member, const Json& object, const std::string& key);
void read(DType& member, const Json& object, const std::string& key);
void read(Reuse& member, const Json& object, const std::string& key);
void read(std::vector<PromptTexts>& member, const Json& object, const std::string& key);
template <class T>
void read(std::optional<T>& member, const Json& object, const std::string& key) {
    if (object.at(key).is_null())
        member.reset();
    else
        read(member.emplace(), object, key);
}

/// An option: a member of Owner under its name in JSON. "video.fps" is the key "fps" of the object "video".
template <class Owner>
struct Row {
    std::string_view name;
    /// Options in JSON that a pipeline without this option refuses, and every other takes. Empty: all take
    /// it.
    std::string_view probe;
    void (*set)(Owner& owner, const Json& object, const std::string& key);
};

template <auto First, auto... Rest>
auto& member_of(auto& owner) {
    if constexpr (sizeof...(Rest) == 0)
        return owner.*First;
    else
        return member_of<Rest...>(owner.*First);
}

/// The row of the member that this path of pointers to members leads to.
template <class Owner, auto... Path>
constexpr Row<Owner> row(std::string_view name, std::string_view probe = {}) {
    return {name, probe, [](Owner& owner, const Json& object, const std::string& key) {
                read(member_of<Path...>(owner), object, key);
            }};
}

/// Sets what an object has. Error (usage) that names a key without a row. `where` is the object's own name,
/// such as "video", or empty.
template <class Owner>
void read_object(Owner& owner, std::span<const Row<Owner>> rows, const Json& object,
                 const std::string& where = {}) {
    if (!object.is_object())
        usage_error("{}: {} is {}, expected an object", kOrigin, where.empty() ? "the JSON" : where,
                    printable(text_of(object)));
    for (const auto& [key, value] : object.items()) {
        const std::string name = where.empty() ? key : fmt::format("{}.{}", where, key);
        const auto found = std::find_if(rows.begin(), rows.end(), [&](const Row<Owner>& each) {
            return each.name == name || each.name.starts_with(name + ".");
        });
        if (found == rows.end()) usage_error("{}: there is no option \"{}\"", kOrigin, printable(name));
        if (found->name == name)
            found->set(owner, object, key);
        else
            read_object(owner, rows, value, name);
    }
}

}  // namespace reprise::capi
