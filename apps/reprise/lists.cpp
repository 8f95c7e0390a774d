// The small commands that list what there is.
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "backends/backend.h"
#include "cachify/describe_policies.h"
#include "cachify/policies.h"
#include "commands.h"
#include "files/weight_cache.h"
#include "outputs.h"
#include "report/text.h"
#include "schedulers/registry.h"

namespace reprise::app {

namespace {

void list_schedulers(bool json) {
    if (json) {
        auto list = nlohmann::ordered_json::array();
        for (const auto& entry : schedulers())
            list.push_back({{"name", entry.name}, {"class", entry.class_name}, {"summary", entry.summary}});
        print(json_text(list));
        return;
    }
    report::Table table({{"name"}, {"class in diffusers"}, {}});
    for (const auto& entry : schedulers())
        table.add({std::string(entry.name), std::string(entry.class_name), std::string(entry.summary)});
    print(table.text());
}

bool is_text(const cachify::PolicyParameter& parameter) {
    return parameter.type == cachify::PolicyParameter::Type::text;
}

void list_policies(bool json) {
    if (json) {
        print(json_text(cachify::describe_policies()));
        return;
    }
    report::Table table({{"policy"}, {"parameter"}, {"default", report::Table::Align::right}, {}});
    const auto add = [&](std::string_view name, std::string_view source,
                         std::span<const cachify::PolicyParameter> parameters) {
        table.add({std::string(name), "", "", std::string(source)});
        for (const auto& parameter : parameters)
            table.add({"", std::string(parameter.name),
                       is_text(parameter) ? "" : fmt::format("{}", parameter.otherwise()),
                       std::string(parameter.meaning)});
    };
    for (const auto& policy : cachify::policies()) add(policy.name, policy.source, policy.parameters);
    add("all of them", "", cachify::common_parameters());
    print(table.text() +
          "\nAs in --cache deepcache:interval=3,branch=1; several are joined by '+': --cache "
          "default+guidance\n");
}

void list_cache(bool json) {
    const WeightCache cache;
    const auto entries = cache.list();
    if (json) {
        auto list = nlohmann::ordered_json::array();
        for (const auto& entry : entries)
            list.push_back({{"file", entry.file.string()},
                            {"source", entry.source},
                            {"precision", entry.precision},
                            {"bytes", entry.bytes},
                            {"last_use", std::chrono::system_clock::to_time_t(entry.last_use)}});
        print(json_text(list));
        return;
    }
    report::Table table({{"last use"}, {"size", report::Table::Align::right}, {"precision"}, {"weights of"}});
    double total = 0;
    for (const auto& entry : entries) {
        total += static_cast<double>(entry.bytes);
        const auto time = fmt::localtime(std::chrono::system_clock::to_time_t(entry.last_use));
        table.add({fmt::format("{:%Y-%m-%d %H:%M}", time), human_bytes(static_cast<double>(entry.bytes)),
                   entry.precision, entry.source});
    }
    if (entries.empty())
        print(fmt::format("nothing in {}\n", cache.folder().string()));
    else
        print(table.text() + fmt::format("\n{} in {}\n", human_bytes(total), cache.folder().string()));
}

void clear_cache() {
    const WeightCache cache;
    const auto cleared = cache.clear();
    print(fmt::format("{} file{} removed from {}, {} freed\n", cleared.files, cleared.files == 1 ? "" : "s",
                      cache.folder().string(), human_bytes(static_cast<double>(cleared.bytes))));
}

}  // namespace

std::string version_text() {
    std::string text = "reprise " REPRISE_VERSION "\n";
    for (const auto& name : backends::available()) {
        const auto backend = backends::create(name);
        text += fmt::format("backend {}:", name);
        for (const auto& device : backend->devices())
            text += fmt::format(" {} ({})", device, reprise::name_of(backend->preferred_precision(device)));
        text += "\n";
    }
    return text;
}

void add_schedulers(CLI::App& app, Context& context) {
    auto options = std::make_shared<OutputOptions>();
    auto* command = app.add_subcommand("schedulers", "List the sampling methods");
    add_output_options(*command, *options, "A JSON array");
    command->callback([options, &context] {
        set_up(context, *options);
        list_schedulers(options->json);
    });
}

void add_policies(CLI::App& app, Context& context) {
    auto options = std::make_shared<OutputOptions>();
    auto* command = app.add_subcommand("policies", "List the ways to reuse that --cache knows by name");
    add_output_options(*command, *options, "A JSON array");
    command->callback([options, &context] {
        set_up(context, *options);
        list_policies(options->json);
    });
}

void add_cache(CLI::App& app, Context& context) {
    auto options = std::make_shared<OutputOptions>();
    auto* command = app.add_subcommand("cache", "List or remove weights converted for faster loading");
    command->require_subcommand(1);
    auto* list = command->add_subcommand("list", "List them");
    add_output_options(*list, *options, "A JSON array");
    list->callback([options, &context] {
        set_up(context, *options);
        list_cache(options->json);
    });
    command->add_subcommand("clear", "Remove all of them")->callback([&context] {
        set_up(context, {});
        clear_cache();
    });
}

void add_version(CLI::App& app, Context& context) {
    app.add_subcommand("version", "Print the version, the backends, and their devices")->callback([&context] {
        set_up(context, {});
        print(version_text());
    });
}

}  // namespace reprise::app
