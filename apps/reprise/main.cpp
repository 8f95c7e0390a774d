#include <algorithm>
#include <exception>
#include <new>

#include "commands.h"
#include "help.h"
#include "outputs.h"
#include "reprise/error.h"

namespace reprise::app {

namespace {

constexpr int kFailure = 1, kUsage = 2, kCancelled = 130;

std::string one_line(std::string text) {
    while (!text.empty() && text.back() == '\n') text.pop_back();
    std::replace(text.begin(), text.end(), '\n', ' ');
    return text;
}

/// "reprise generate": the command that an error is about.
std::string command_of(const CLI::App& app) {
    std::string name = app.get_name();
    const CLI::App* at = &app;
    while (!at->get_subcommands().empty()) {
        at = at->get_subcommands().front();
        name += " " + at->get_name();
    }
    return name;
}

/// Error (usage) for a first word that is neither an option nor a command.
void check_command(const CLI::App& app, const std::string& word) {
    std::string names;
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
        if (word == command->get_name()) return;
        (names += names.empty() ? "" : ", ") += command->get_name();
    }
    if (!word.starts_with('-')) usage_error("there is no command \"{}\"; there are {}", word, names);
}

int fail(Terminal& terminal, const Error& error) {
    if (error.kind() == ErrorKind::cancelled) {
        terminal.error(fmt::format("cancelled: {}; nothing was written", one_line(error.what())));
        return kCancelled;
    }
    terminal.error("error: " + one_line(error.what()));
    return error.kind() == ErrorKind::usage ? kUsage : kFailure;
}

int run(int count, const char* const* arguments, Terminal& terminal) {
    Context context{terminal};
    log_to(terminal, Loudness::normal);
    CLI::App app(
        "Pictures from text and videos from pictures, with diffusion models that reuse what earlier steps "
        "computed.",
        "reprise");
    app.formatter(std::make_shared<HelpFormatter>());
    app.require_subcommand(1);
    app.set_version_flag("--version", version_text, "Print the version, the backends, and their devices");
    add_generate(app, context);
    add_encode(app, context);
    add_animate(app, context);
    add_compare(app, context);
    add_plan(app, context);
    add_modules(app, context);
    add_bench(app, context);
    add_calibrate(app, context);
    add_tune(app, context);
    add_schedulers(app, context);
    add_policies(app, context);
    add_cache(app, context);
    add_version(app, context);
    add_completion(app, context);
    app.footer(
        "\nStart here:\n"
        "  reprise generate --model models/emoji-sdxl --prompt \"red apple\" --out apple.png\n"
        "  reprise compare --model models/emoji-sdxl --prompt rocket --out rocket\n"
        "  reprise generate --help\n"
        "\nExit status: 0 done, 1 failed, 2 a mistake in what was asked for, 130 stopped by Ctrl-C.");
    try {
        check_command(app, count > 1 ? arguments[1] : "-");
        app.parse(count, arguments);
        return 0;
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0) return app.exit(error);  // help, version
        terminal.error(fmt::format("error: {}; see {} --help", one_line(error.what()), command_of(app)));
        return kUsage;
    }
}

}  // namespace

}  // namespace reprise::app

int main(int count, char** arguments) {
    using namespace reprise;
    app::Terminal terminal;
    try {
        return app::run(count, arguments, terminal);
    } catch (const Error& error) {
        return app::fail(terminal, error);
    } catch (const std::bad_alloc&) {
        terminal.error(
            "error: out of memory; try a smaller picture, --guidance-mode split or --precision bf16");
    } catch (const std::exception& error) {
        terminal.error("error: " + app::one_line(error.what()));
    }
    return app::kFailure;
}
