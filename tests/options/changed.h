#pragma once

#include <algorithm>

#include "options/row.h"

namespace reprise::testing {

/// A value of the row's domain that is not its default.
inline Json changed(const options::Row& row, const options::Table& table) {
    using options::Type;
    const Json before = row.get(table.defaults);
    switch (row.type) {
        case Type::boolean:
            return !before.get<bool>();
        case Type::integer:
            return before.is_null() ? static_cast<int>(row.domain.least) + 2 : before.get<int>() + 8;
        case Type::number:
            return before.is_null() ? std::min(1.5, row.domain.most / 2) : before.get<double>() + 0.5;
        case Type::text:
            if (row.domain.names == nullptr) return "something";
            return before == row.domain.names().front() ? row.domain.names().back()
                                                        : row.domain.names().front();
        case Type::integers:
            return {0, 2};
        case Type::texts:
            return {"red apple"};
        case Type::pair:
            return {16, 8};
        case Type::objects:
            return Json::array({{{"negative_prompt", "blue"}}});
        case Type::reuse:
            return "deepcache:interval=2";
        case Type::attached:
        case Type::callback:
            break;
    }
    return nullptr;
}

}  // namespace reprise::testing
