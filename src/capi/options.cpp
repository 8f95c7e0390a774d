#include "capi/options.h"

#include "options/row.h"

namespace reprise::capi {

namespace {

/// What errors about options call the JSON text.
constexpr const char* kOrigin = "the options";

}  // namespace

void add_call_options(GenerateOptions& options, std::string_view json) {
    options::read(options::generate_options(), &options, parse_json(json, kOrigin), kOrigin);
}

LoadOptions parse_load_options(std::string_view json) {
    LoadOptions options;
    options::read(options::load_options(), &options, parse_json(json, kOrigin), kOrigin);
    return options;
}

}  // namespace reprise::capi
