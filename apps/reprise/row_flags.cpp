#include "row_flags.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>

namespace reprise::app {

using options::Row;
using options::Type;

namespace {

/// What stands for a value that is null.
constexpr std::string_view kAutomatic = "auto";

template <class Number>
Json number_of(const std::string& text) {
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size() ? Json(value) : Json(text);
}

/// The value that a text stands for; of a text that stands for none itself.
Json value_of(const Row& row, const std::string& text) {
    switch (row.type) {
        case Type::integer:
        case Type::integers:
            return text.starts_with('-') ? number_of<std::int64_t>(text) : number_of<std::uint64_t>(text);
        case Type::number:
            return number_of<double>(text);
        default:
            if (row.optional && row.domain.names != nullptr && text == kAutomatic) return nullptr;
            return text;
    }
}

bool is_list(const Row& row) {
    return row.type == Type::integers || row.type == Type::texts;
}

/// What may be given, for the help.
std::string placeholder(const Row& row) {
    if (!row.placeholder.empty()) return std::string(row.placeholder);
    if (row.type == Type::number) return "FLOAT";
    if (row.domain.names == nullptr) return "TEXT";
    return fmt::format("{}{}", row.optional ? "auto|" : "", fmt::join(row.domain.names(), "|"));
}

/// The default, for the help, unless it says what that means.
std::string default_text(const Row& row, const options::Table& table) {
    const Json value = row.get(table.defaults);
    if (row.help.find("(default: ") != std::string_view::npos) return "";
    if (row.optional) return row.domain.names == nullptr ? "" : std::string(kAutomatic);
    if (row.type == Type::number) return fmt::format("{}", value.get<double>());
    if (!value.is_string()) return is_list(row) ? "" : text_of(value);
    // The first is taken where none is named.
    const bool first = value == "" && row.domain.names != nullptr && row.placeholder.empty();
    return first ? row.domain.names().front() : value.get<std::string>();
}

CLI::Validator checked(const Row& row) {
    return {[&row](std::string& text) {
                const Json value = value_of(row, text);
                const bool good = options::is_value(is_list(row) ? Json::array({value}) : value, row);
                return good ? std::string()
                            : fmt::format("\"{}\", expected {}", text, options::expected(row));
            },
            ""};
}

}  // namespace

void RowFlags::add(CLI::App& command, const std::function<bool(const Row&)>& wanted) {
    for (const Row& row : table_->rows)
        if (!row.flag.empty() && wanted(row)) add(command, row);
}

void RowFlags::add(CLI::App& command, const Row& row) {
    constexpr std::string_view kGroups[] = {"", "Model", "Prompt", "Animation", "Sampling"};
    const std::string group(kGroups[static_cast<std::size_t>(row.group)]);
    const std::string flag(row.flag);
    std::string help(row.help);
    if (row.type == Type::boolean) {
        command
            .add_flag_callback(
                flag, [this, &row] { given_[row.name] = !row.get(table_->defaults).get<bool>(); }, help)
            ->group(group);
        return;
    }
    if (row.domain.names != nullptr && !row.placeholder.empty())
        help += fmt::format(": {}", fmt::join(row.domain.names(), ", "));
    auto* option = command.add_option(
        flag,
        [this, &row](const CLI::results_t& texts) {
            Json list = Json::array();
            for (const auto& text : texts) list.push_back(value_of(row, text));
            given_[row.name] = is_list(row) ? list : list.front();
            return true;
        },
        help);
    option->group(group)->type_name(placeholder(row))->check(checked(row));
    option->default_str(default_text(row, *table_));
    if (row.type == Type::integers)
        option->expected(1, CLI::detail::expected_max_vector_size)->delimiter(',');
    if (row.type == Type::texts)
        option->expected(1, CLI::detail::expected_max_vector_size)->allow_extra_args(false);
}

void RowFlags::apply_to(void* owner) const {
    for (const auto& [name, value] : given_) {
        const Row& row = *table_->find(name);
        row.set(owner, value, row, row.flag);
    }
}

Json RowFlags::value(std::string_view name) const {
    const auto found = given_.find(name);
    return found == given_.end() ? table_->find(name)->get(table_->defaults) : found->second;
}

}  // namespace reprise::app
