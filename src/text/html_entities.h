#pragma once

#include <optional>
#include <string_view>

namespace reprise {

/// What a named character reference of HTML 5 without capitals stands for, by its name without '&' and ';'.
std::optional<std::string_view> html_entity(std::string_view name);

/// Whether the reference may be written without ';'.
bool html_entity_needs_no_semicolon(std::string_view name);

}  // namespace reprise
