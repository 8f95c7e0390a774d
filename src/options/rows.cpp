#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "files/printable.h"
#include "options/row.h"
#include "reprise/error.h"

namespace reprise::options {

const Row* Table::find(std::string_view name) const {
    const auto found =
        std::find_if(rows.begin(), rows.end(), [&](const Row& row) { return row.name == name; });
    return found == rows.end() ? nullptr : &*found;
}

bool Table::differs(const Row& row, const void* owner) const {
    return !(row.get(owner) == row.get(defaults));  // != would take NaN for no difference
}

namespace {

std::string range_of(const Domain& domain) {
    const bool least = Domain::is_limit(domain.least), most = Domain::is_limit(domain.most);
    if (least && most) return fmt::format(" from {} to {}", domain.least, domain.most);
    if (least) return fmt::format(" from {} on", domain.least);
    return most ? fmt::format(" up to {}", domain.most) : "";
}

bool is_list_of(const Json& value, bool (*is)(const Json&)) {
    return value.is_array() && std::all_of(value.begin(), value.end(), is);
}

bool is_int(const Json& value) {
    if (value.is_number_unsigned())
        return value.get<std::uint64_t>() <= std::uint64_t{std::numeric_limits<int>::max()};
    return value.is_number_integer() && value.get<std::int64_t>() >= std::numeric_limits<int>::min() &&
           value.get<std::int64_t>() <= std::numeric_limits<int>::max();
}

bool is_text(const Json& value) {
    return value.is_string();
}

bool in_range(const Json& value, const Domain& domain) {
    const auto number = value.get<double>();
    return number >= domain.least && number <= domain.most;  // NaN is neither
}

bool is_good(const Json& value, const Row& row) {
    switch (row.type) {
        case Type::boolean:
            return value.is_boolean();
        case Type::integer:
            return value.is_number_integer() && (row.wide || is_int(value)) && in_range(value, row.domain);
        case Type::number:
            return value.is_number() && in_range(value, row.domain);
        case Type::text: {
            if (!value.is_string() || row.domain.names == nullptr || row.domain.others)
                return value.is_string();
            const auto names = row.domain.names();
            return std::find(names.begin(), names.end(), value.get_ref<const std::string&>()) != names.end();
        }
        case Type::integers:
            return is_list_of(value, is_int);
        case Type::texts:
            return is_list_of(value, is_text);
        case Type::pair:
            return is_list_of(value, is_int) && value.size() == 2;
        case Type::objects:
            return value.is_array();
        case Type::reuse:
            return value.is_string() || value.is_array() || value.is_object();
        case Type::attached:
        case Type::callback:
            break;
    }
    return true;
}

}  // namespace

std::string expected(const Row& row) {
    switch (row.type) {
        case Type::boolean:
            return "true or false";
        case Type::integer:
            return "an integer" + range_of(row.domain);
        case Type::number: {
            const std::string range = range_of(row.domain);
            return range.empty() ? "a finite number of f32" : "a number" + range;
        }
        case Type::text:
            if (row.domain.names == nullptr || row.domain.others) return "a text";
            return fmt::format("one of {}", fmt::join(row.domain.names(), ", "));
        case Type::integers:
            return "a list of integers";
        case Type::texts:
            return "a list of texts";
        case Type::pair:
            return "two integers";
        case Type::objects:
            return "a list of objects";
        case Type::reuse:
            return "a policy, \"off\", or a configuration as a list";
        case Type::attached:
            return "a picture or tensors";
        case Type::callback:
            return "a function";
    }
    return "";
}

bool is_value(const Json& value, const Row& row) {
    return (row.optional && value.is_null()) || is_good(value, row);
}

void check_value(const Json& value, const Row& row, std::string_view origin) {
    if (is_value(value, row)) return;
    const bool infinite =
        value.is_number_float() && !std::isfinite(value.get<double>());  // which JSON has not
    const std::string found = infinite ? fmt::format("{}", value.get<double>()) : printable(text_of(value));
    if (origin.empty()) usage_error("{} is {}, expected {}", row.name, found, expected(row));
    usage_error("{}: \"{}\" is {}, expected {}", origin, row.name, found, expected(row));
}

void check_values(const Table& table, const void* owner) {
    for (const Row& row : table.rows)
        if (row.set != nullptr && table.differs(row, owner)) check_value(row.get(owner), row);
}

void read(const Table& table, void* owner, const Json& object, std::string_view origin,
          const std::string& where, Counts counts) {
    if (!object.is_object())
        usage_error("{}: {} is {}, expected an object", origin, where.empty() ? "the JSON" : where,
                    printable(text_of(object)));
    for (const auto& [key, value] : object.items()) {
        const std::string name = where.empty() ? key : fmt::format("{}.{}", where, key);
        const Row* row = table.find(name);
        const bool known = row != nullptr && row->set != nullptr && (row->counts & counts) == counts;
        if (known) {
            row->set(owner, value, *row, origin);
        } else if (std::any_of(table.rows.begin(), table.rows.end(),
                               [&](const Row& each) { return each.name.starts_with(name + "."); })) {
            read(table, owner, value, origin, name, counts);
        } else {
            usage_error("{}: there is no option \"{}\"", origin, printable(name));
        }
    }
}

Json write(const Table& table, const void* owner, Counts counts) {
    Json result = Json::object();
    for (const Row& row : table.rows) {
        if (row.set == nullptr || (row.counts & counts) == 0 || !table.differs(row, owner)) continue;
        const auto dot = row.name.find('.');
        if (dot == std::string_view::npos)
            result[std::string(row.name)] = row.get(owner);
        else
            result[std::string(row.name.substr(0, dot))][std::string(row.name.substr(dot + 1))] =
                row.get(owner);
    }
    return result;
}

}  // namespace reprise::options
