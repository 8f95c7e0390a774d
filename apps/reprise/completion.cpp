#include <fmt/format.h>

#include "cache_names.h"
#include "commands.h"
#include "outputs.h"
#include "schedulers/registry.h"

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

std::string bash_script(const CLI::App& app) {
    std::string names;
    for (const auto& entry : schedulers())
        names += std::string(names.empty() ? "" : " ") + std::string(entry.name);
    std::string caches = cache_name_list();
    std::erase(caches, ',');
    std::string cases;
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
        std::string words = long_options(*command);
        const std::string inner = subcommands(*command);
        if (!inner.empty()) words = inner + " " + words;
        cases += fmt::format("        {}) words=\"{}\" ;;\n", command->get_name(), words);
    }
    return fmt::format(R"(# bash completion for reprise: source this, or put it into
# ~/.local/share/bash-completion/completions/reprise
_reprise() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}" words=""
    case "$previous" in
        --scheduler) COMPREPLY=($(compgen -W "{}" -- "$current")); return ;;
        --cache) COMPREPLY=($(compgen -W "{}" -- "$current") $(compgen -f -- "$current")); return ;;
        --precision) COMPREPLY=($(compgen -W "auto f32 bf16 f16" -- "$current")); return ;;
        --vae-precision) COMPREPLY=($(compgen -W "auto f32 bf16 f16" -- "$current")); return ;;
        --guidance-mode) COMPREPLY=($(compgen -W "auto batched split" -- "$current")); return ;;
        --count) COMPREPLY=($(compgen -W "steps evaluations" -- "$current")); return ;;
        --model|--refiner) COMPREPLY=($(compgen -d -- "$current")); return ;;
        --out|--prompts-file|--latents-in|--latents-out) COMPREPLY=($(compgen -f -- "$current")); return ;;
    esac
    case "${{COMP_WORDS[1]}}" in
{}        *) words="{} --help --version" ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o filenames -F _reprise reprise
)",
                       names, caches, cases, subcommands(app));
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
