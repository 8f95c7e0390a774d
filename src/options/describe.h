#pragma once

#include "options/row.h"

namespace reprise::options {

/// The rows of a table as JSON, for what makes interfaces of them: a list of objects with "name", "type",
/// "about", "optional", "default", "wide" (64 bits), "names" (of a choice, else null), "least" and "most"
/// (null: no limit), "others" (others than the names are taken), "settable" and "help".
Json describe(const Table& table);

}  // namespace reprise::options
