#pragma once

#include <CLI/CLI.hpp>

#include "options.h"

namespace reprise::app {

/// Each adds one command; its callback runs it and throws Error.
void add_generate(CLI::App& app, Context& context);
void add_encode(CLI::App& app, Context& context);
void add_animate(CLI::App& app, Context& context);
void add_compare(CLI::App& app, Context& context);
void add_plan(CLI::App& app, Context& context);
void add_modules(CLI::App& app, Context& context);
void add_calibrate(CLI::App& app, Context& context);
void add_tune(CLI::App& app, Context& context);
void add_bench(CLI::App& app, Context& context);
void add_schedulers(CLI::App& app, Context& context);
void add_policies(CLI::App& app, Context& context);
void add_cache(CLI::App& app, Context& context);
void add_version(CLI::App& app, Context& context);
void add_completion(CLI::App& app, Context& context);

/// "reprise 0.1.0" and the backends with their devices.
std::string version_text();

}  // namespace reprise::app
