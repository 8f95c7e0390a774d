#include <fmt/ranges.h>

#include <algorithm>

#include "cachify/combination.h"
#include "cachify/decision_json.h"
#include "cachify/expression.h"
#include "cachify/filter.h"
#include "cachify/policies.h"
#include "cachify/profile_json.h"
#include "cachify/step_mask.h"
#include "files/json.h"
#include "files/printable.h"
#include "reprise/cachify.h"
#include "reprise/error.h"

namespace reprise::cachify {

ModuleFilter::ModuleFilter(const std::string& pattern)
    : function_([pattern](std::string_view name) { return fnmatch(name, pattern); }),
      text_(text_of(pattern)) {}

ModuleFilter ModuleFilter::regex(const std::string& expression) {
    return {regex_search(expression), text_of(Json{{"regex", expression}})};
}

ModuleFilter ModuleFilter::negation(ModuleFilter filter) {
    std::string text = filter.text_ == "function" ? "function" : fmt::format(R"({{"not":{}}})", filter.text_);
    return {[inner = std::move(filter.function_)](std::string_view name) { return !inner(name); },
            std::move(text)};
}

StepFunction::StepFunction(const std::string& expression)
    : function_(parse_condition(expression)), text_(text_of(expression)) {}

StepFunction::StepFunction(std::vector<int> steps, int num_steps) {
    std::sort(steps.begin(), steps.end());
    text_ = num_steps > 0 ? text_of(Json{{"steps", steps}, {"of", num_steps}}) : text_of(Json(steps));
    function_ = [steps = std::move(steps), num_steps](int step, int asked) {
        if (num_steps > 0 && asked != num_steps)
            usage_error("this configuration is for {} steps; asked for {}: make one for that, or run {}",
                        num_steps, asked, num_steps);
        return std::binary_search(steps.begin(), steps.end(), step);
    };
}

StepFunction StepFunction::mask(const std::string& name) {
    step_mask(name, 1);                                // refuses an unknown one here
    return {[name](int step, int num_steps) -> bool {  // a list's element would outlive the list
                return step_mask(name, num_steps).at(static_cast<std::size_t>(step));
            },
            text_of(Json{{"mask", name}})};
}

namespace {

std::string rule_text(const Store& store) {
    switch (store.rule) {
        case Store::Rule::output:
            return "output";
        case Store::Rule::delta:
            return "delta";
        case Store::Rule::forecast:
            return fmt::format("forecast({})", store.order);
        case Store::Rule::delta_forecast:
            return fmt::format("delta_forecast({})", store.order);
        case Store::Rule::linear:
            return fmt::format("linear({})", most_terms(store));
        case Store::Rule::delta_linear:
            return fmt::format("delta_linear({})", most_terms(store));
        case Store::Rule::mean:
            return "mean";
        case Store::Rule::drop:
            return "drop";
    }
    return "?";
}

}  // namespace

std::string to_string(const Store& store) {
    return store.kept_in ? fmt::format("{} in {}", rule_text(store), name_of(*store.kept_in))
                         : rule_text(store);
}

DType kept_in_from(std::string_view name) {
    for (const DType type : {DType::f16, DType::bf16})
        if (name == name_of(type)) return type;
    usage_error("kept_in is '{}'; expected f16 or bf16", printable(name));
}

namespace {

constexpr std::string_view kKeys[] = {"wildcard_or_filter_func",
                                      "select_cache_step_func",
                                      "kinds",
                                      "store",
                                      "kept_in",
                                      "as_one",
                                      "decide",
                                      "part"};

/// Reads one configuration; every error names the file and the entry.
class Reader {
  public:
    /// `context` may be null: then policies are refused.
    Reader(std::string_view origin, const PolicyContext* context) : origin_(origin), context_(context) {}

    Config read(std::string_view text) {
        Json json = parse_json(text, origin_);
        if (json.is_object() && json.contains("evidence")) check_evidence(json["evidence"]);
        if (json.is_object() && json.contains("entries")) json = Json(json["entries"]);
        if (!json.is_array())
            usage_error("{}: expected a list of entries, found {}", origin_, json.type_name());
        Config config;
        for (entry_ = 0; entry_ < json.size(); ++entry_) {
            const Json& item = json[entry_];
            if (item.is_object() && item.size() == 1 && item.contains("policy"))
                config = config + policy(item["policy"]);
            else
                config.push_back(entry(item));
        }
        return config;
    }

  private:
    template <class... Args>
    [[noreturn]] void wrong(fmt::format_string<Args...> format, Args&&... args) const {
        usage_error("{}: entry {}: {}", origin_, entry_, fmt::format(format, std::forward<Args>(args)...));
    }

    /// Refuses a configuration that was found for another denoiser; its steps are those of that run.
    void check_evidence(const Json& json) {
        if (!json.is_object() || !json.contains("model") || !json["model"].is_object() ||
            !json.contains("run") || !json["run"].is_object())
            usage_error("{}: its evidence names no model and no run; expected what reprise tune wrote",
                        origin_);
        if (context_ == nullptr)
            usage_error("{}: it was found for one denoiser: use load_config with the pipeline", origin_);
        check_identity(identity_from_json(json["model"], origin_), *context_, origin_);
        num_steps_ = require<int>(json["run"], "steps", origin_);
        if (num_steps_ < 1) usage_error("{}: its evidence is of {} steps", origin_, num_steps_);
    }

    Config policy(const Json& json) const {
        if (!json.is_string())
            wrong("policy is {}; expected a text such as \"deepcache:interval=3\"", printable(text_of(json)));
        if (context_ == nullptr) wrong("a policy needs a pipeline to be made for: use make_policy");
        try {
            return make_policy(*context_, json.get<std::string>());
        } catch (const Error& error) {
            wrong("{}", printable(error.what(), 400));
        }
    }
    Entry entry(const Json& json) const {
        if (!json.is_object()) wrong("expected an object, found {}", json.type_name());
        for (const auto& [key, value] : json.items())
            if (std::find(std::begin(kKeys), std::end(kKeys), key) == std::end(kKeys))
                wrong("unknown key '{}'; there are {}", key, fmt::join(kKeys, ", "));
        for (const char* key : {"wildcard_or_filter_func", "select_cache_step_func"})
            if (!json.contains(key)) wrong("'{}' is missing", key);
        try {
            Entry result{filter(json["wildcard_or_filter_func"]), steps(json["select_cache_step_func"])};
            if (json.contains("kinds")) result.kinds = kinds(json["kinds"]);
            if (json.contains("store")) result.store = store(json["store"]);
            if (json.contains("kept_in")) {
                const Json& type = json["kept_in"];
                result.store.kept_in =
                    kept_in_from(type.is_string() ? type.get<std::string>() : text_of(type));
            }
            if (json.contains("as_one")) {
                if (!json["as_one"].is_boolean()) wrong("as_one is no truth value; expected true or false");
                result.as_one = json["as_one"].get<bool>();
            }
            if (json.contains("decide"))
                result.decide = decision_from(json["decide"], fmt::format("{}: entry {}", origin_, entry_));
            if (json.contains("part")) result.part = part(json["part"]);
            return result;
        } catch (const Error& error) {
            const std::string message = error.what();
            if (message.starts_with(origin_)) throw;
            wrong("{}", printable(message, 400));
        }
    }
    std::string part(const Json& json) const {
        if (!json.is_string() || json.get<std::string>().empty())
            wrong(
                "part is {}; expected the name of one, or a pattern, such as \"control.0\" or \"control.*\"",
                printable(text_of(json)));
        return json.get<std::string>();
    }
    ModuleFilter filter(const Json& json) const {
        if (json.is_string()) return json.get<std::string>();
        if (json.is_object() && json.size() == 1) {
            if (json.contains("regex") && json["regex"].is_string())
                return ModuleFilter::regex(json["regex"].get<std::string>());
            if (json.contains("not")) return ModuleFilter::negation(filter(json["not"]));
        }
        wrong(R"(wildcard_or_filter_func is {}; expected a pattern, {{"regex": "..."}} or {{"not": ...}})",
              printable(text_of(json)));
    }
    StepFunction steps(const Json& json) const {
        if (json.is_string()) return json.get<std::string>();
        if (json.is_object() && json.size() == 1 && json.contains("mask") && json["mask"].is_string())
            return StepFunction::mask(json["mask"].get<std::string>());
        if (json.is_array()) return {list_of_steps(json), num_steps_};
        if (json.is_object() && json.size() == 2 && json.contains("steps") && json.contains("of")) {
            const Json& of = json["of"];
            if (!is_step(of) || of == 0 || !json["steps"].is_array())
                wrong("select_cache_step_func is {}; expected steps and of how many they are",
                      printable(text_of(json)));
            return {list_of_steps(json["steps"]), of.get<int>()};
        }
        wrong(
            "select_cache_step_func is {}; expected an expression such as \"step % 2 != 0\", a list of "
            "steps, {{\"steps\": [...], \"of\": 20}} or {{\"mask\": \"fast\"}}",
            printable(text_of(json)));
    }
    static bool is_step(const Json& json) {
        return json.is_number_integer() && json >= 0 && json <= 1'000'000;
    }
    std::vector<int> list_of_steps(const Json& json) const {
        std::vector<int> list;
        for (const auto& step : json) {
            if (!is_step(step))
                wrong("select_cache_step_func lists {}; expected steps counted from 0",
                      printable(text_of(step)));
            list.push_back(step.get<int>());
        }
        return list;
    }
    std::vector<ModuleKind> kinds(const Json& json) const {
        std::vector<ModuleKind> result;
        if (json.is_array())
            for (const auto& name : json)
                if (name.is_string()) result.push_back(module_kind(name.get<std::string>()));
        if (result.empty() || result.size() != json.size())
            wrong("kinds is {}; expected a list of names", printable(text_of(json)));
        return result;
    }
    Store store(const Json& json) const {
        if (json == "output") return {Store::Rule::output};
        if (json == "delta") return {Store::Rule::delta};
        if (json == "mean") return {Store::Rule::mean};
        if (json == "drop") return {Store::Rule::drop};
        for (const auto& [name, rule] : {std::pair("forecast", Store::Rule::forecast),
                                         std::pair("delta_forecast", Store::Rule::delta_forecast)}) {
            if (json == name) return {rule};
            if (!json.is_object() || json.size() != 1 || !json.contains(name)) continue;
            const auto& order = json[name];
            if (order == 1 || order == 2) return {rule, order.get<int>()};
        }
        for (const auto& [name, rule] : {std::pair("linear", Store::Rule::linear),
                                         std::pair("delta_linear", Store::Rule::delta_linear)}) {
            if (!json.is_object() || json.size() != 1 || !json.contains(name)) continue;
            Store result{rule};
            result.weights = weights(json[name], name);
            return result;
        }
        wrong(
            R"(store is {}; expected "output", "delta", "mean", "drop", {{"forecast": 1}} or {{"delta_forecast": 1}} (or 2), {{"linear": [2, -1]}} or {{"delta_linear": [2, -1]}})",
            printable(text_of(json)));
    }
    /// One list, for every step, or a list of them by step.
    std::vector<std::vector<double>> weights(const Json& json, const char* name) const {
        const auto refuse = [&](const Json& found) {
            wrong(
                "{} has {}; expected weights of the last values, newest first, such as [2, -1], or for each "
                "step such a list",
                name, printable(text_of(found)));
        };
        const auto list = [&](const Json& numbers) {
            std::vector<double> result;
            for (const Json& number : numbers) {
                if (!number.is_number() || !fits_f32(number.get<double>())) refuse(number);
                result.push_back(number.get<double>());
            }
            return result;
        };
        if (!json.is_array() || json.empty()) refuse(json);
        if (!json.front().is_array()) return {list(json)};
        std::vector<std::vector<double>> result;
        for (const Json& step : json) {
            if (!step.is_array()) refuse(step);
            result.push_back(list(step));
        }
        if (result.size() == 1) refuse(json);  // it would hold at every step
        return result;
    }

    std::string origin_;
    const PolicyContext* context_;
    std::size_t entry_ = 0;
    int num_steps_ = 0;  ///< of lists of steps; 0: any
};

}  // namespace

void check_identity(const DenoiserIdentity& found, const PolicyContext& context, std::string_view origin) {
    if (found.class_name != context.denoiser_class)
        usage_error("{}: it is for a {}; this model's denoiser is a {}", origin, printable(found.class_name),
                    context.denoiser_class);
    if (!context.identity) return;
    const DenoiserIdentity own = context.identity();
    if (found.config != own.config)
        usage_error("{}: it is for a {} of other sizes (configuration {}; this model's is {})", origin,
                    printable(found.class_name), printable(found.config), own.config);
    if (!own.weights.empty() && found.weights != own.weights)
        usage_error("{}: it is for a {} of these sizes with other weights ({}; this model's are {})", origin,
                    printable(found.class_name), printable(found.weights), own.weights);
}

Config parse_config(std::string_view json, std::string_view origin) {
    return Reader(origin, nullptr).read(json);
}

Config parse_config(std::string_view json, std::string_view origin, const PolicyContext& context) {
    return Reader(origin, &context).read(json);
}

Config load_config(const std::string& path) {
    return parse_config(read_text_file(path), path);
}

namespace {

Json weights_json(const Store& store) {
    if (store.weights.size() == 1) return store.weights.front();
    return store.weights;
}

}  // namespace

std::string to_json(const Config& config) {
    Json result = Json::array();
    for (const Entry& entry : config) {
        for (const std::string& text :
             {entry.wildcard_or_filter_func.text(), entry.select_cache_step_func.text()})
            if (text == "function") usage_error("a configuration with a C++ function has no JSON form");
        Json json = {{"wildcard_or_filter_func", Json::parse(entry.wildcard_or_filter_func.text())},
                     {"select_cache_step_func", Json::parse(entry.select_cache_step_func.text())}};
        for (const ModuleKind kind : entry.kinds) json["kinds"].push_back(name_of(kind));
        if (entry.store.rule == Store::Rule::forecast)
            json["store"] = {{"forecast", entry.store.order}};
        else if (entry.store.rule == Store::Rule::delta_forecast)
            json["store"] = {{"delta_forecast", entry.store.order}};
        else if (entry.store.rule == Store::Rule::linear)
            json["store"] = {{"linear", weights_json(entry.store)}};
        else if (entry.store.rule == Store::Rule::delta_linear)
            json["store"] = {{"delta_linear", weights_json(entry.store)}};
        else
            json["store"] = rule_text(entry.store);
        if (entry.store.kept_in) json["kept_in"] = name_of(*entry.store.kept_in);
        if (entry.as_one) json["as_one"] = true;
        if (entry.decide) json["decide"] = to_json(*entry.decide);
        if (!entry.part.empty()) json["part"] = entry.part;
        result.push_back(std::move(json));
    }
    return result.dump(2);
}

}  // namespace reprise::cachify
