#include <fmt/format.h>
#include <fmt/ranges.h>

#include "commands.h"
#include "options/names.h"
#include "options/row.h"
#include "outputs.h"

namespace reprise::app {

namespace {

std::string long_options(const CLI::App& command) {
    std::string words;
    for (const CLI::Option* option : command.get_options())
        for (const auto& name : option->get_lnames()) words += (words.empty() ? "--" : " --") + name;
    return words;
}

std::string subcommands(const CLI::App& app) {
    std::string words;
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
        words += (words.empty() ? "" : " ") + command->get_name();
    return words;
}

/// What may be given to a flag of this row, with blanks between.
std::string words_of(const options::Row& row) {
    return fmt::format("{}{}", row.optional && !row.domain.others ? "auto " : "",
                       fmt::join(row.domain.names(), " "));
}

std::string value_case(std::string_view flag, std::string_view words, std::string_view more) {
    return fmt::format("        {}) COMPREPLY=($(compgen -W \"{}\" -- \"$current\"){}); return ;;\n", flag,
                       words, more);
}

std::string bash_script(const CLI::App& app) {
    std::string values;
    for (const auto* table : {&options::generate_options(), &options::load_options()})
        for (const options::Row& row : table->rows)
            if (!row.flag.empty() && row.domain.names != nullptr)
                values += value_case(row.flag, words_of(row), "");
    const options::Row& reuse = *options::generate_options().find("reuse");
    values += value_case("--cache", words_of(reuse), " $(compgen -f -- \"$current\")");
    std::string counts;
    for (const auto& each : options::names_of<cachify::Count>()) counts += std::string(each.name) + " ";
    values += value_case("--count", counts, "");
    std::string cases;
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
        std::string words = long_options(*command);
        const std::string inner = subcommands(*command);
        if (!inner.empty()) words = fmt::format("{} {}", inner, words);
        cases += fmt::format("        {}) words=\"{}\" ;;\n", command->get_name(), words);
    }
    return fmt::format(R"(# bash completion for reprise: source this, or put it into
# ~/.local/share/bash-completion/completions/reprise
_reprise() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}" words=""
    case "$previous" in
{}        --model|--refiner) COMPREPLY=($(compgen -d -- "$current")); return ;;
        --out|--prompts-file|--latents-in|--latents-out|--embeddings|--image|--like) COMPREPLY=($(compgen -f -- "$current")); return ;;
    esac
    case "${{COMP_WORDS[1]}}" in
{}        *) words="{} --help --version" ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o filenames -F _reprise reprise
)",
                       values, cases, subcommands(app));
}

}  // namespace

void add_completion(CLI::App& app, Context& context) {
    auto* command = app.add_subcommand("completion", "Print a script for the shell's completion");
    command->require_subcommand(1);
    command->add_subcommand("bash", "For bash: source <(reprise completion bash)")
        ->callback([&app, &context] {
            set_up(context, {});
            print(bash_script(app));
        });
}

}  // namespace reprise::app
