// Configurations, policies, and the decisions of reuse for modules that something else runs.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>
#include <spdlog/spdlog.h>

#include <map>
#include <memory>
#include <optional>
#include <set>

#include "bindings.h"
#include "cachify/analysis.h"
#include "cachify/combination.h"
#include "cachify/describe_policies.h"
#include "cachify/policies.h"
#include "cachify/schedule.h"
#include "files/json.h"
#include "options/names.h"
#include "pipelines/policy_view.h"
#include "reprise/error.h"
#include "reprise/policies.h"
#include "reprise/running_policies.h"
#include "schedulers/registry.h"

namespace reprise::python {

using namespace nb::literals;
using cachify::Config;
using cachify::Entry;
using cachify::ModuleFilter;
using cachify::StepFunction;
using cachify::Store;

namespace {

/// A Python object that threads without the interpreter's lock may copy, call and drop.
class Held {
  public:
    explicit Held(nb::object object)
        : object_(new nb::object(std::move(object)), [](nb::object* held) {
              if (!nb::is_alive()) return;  // the interpreter is gone, and the object with it
              const nb::gil_scoped_acquire lock;
              delete held;
          }) {}
    const nb::object& get() const { return *object_; }

  private:
    std::shared_ptr<nb::object> object_;
};

bool is_true(const nb::object& value) {
    const int truth = PyObject_IsTrue(value.ptr());
    if (truth < 0) throw nb::python_error();
    return truth != 0;
}

template <class... Args>
[[noreturn]] void wrong_type(fmt::format_string<Args...> format, Args&&... args) {
    throw nb::type_error(fmt::format(format, std::forward<Args>(args)...).c_str());
}

/// The value in a few words on one line.
std::string words_for(const nb::handle& value) {
    return nb::cast<std::string>(arguments().attr("found")(value));
}

/// A filter that has a function in it, or nothing for one that has a JSON form.
std::optional<ModuleFilter> filter_with_function(const nb::handle& value) {
    if (nb::isinstance<ModuleFilter>(value)) return nb::cast<ModuleFilter>(value);
    if (nb::isinstance<nb::dict>(value) && nb::len(value) == 1 &&
        nb::borrow<nb::dict>(value).contains("not")) {
        auto inner = filter_with_function(nb::borrow<nb::dict>(value)["not"]);
        if (inner) return ModuleFilter::negation(std::move(*inner));
        return {};
    }
    if (PyCallable_Check(value.ptr()) == 0) return {};
    return [function = Held(nb::borrow(value))](std::string_view name) {
        const nb::gil_scoped_acquire lock;
        return is_true(function.get()(name));
    };
}

/// Whether a function takes the number of steps after the step.
bool takes_two(const nb::handle& function) {
    try {
        const nb::module_ inspect = nb::module_::import_("inspect");
        const nb::object parameter = inspect.attr("Parameter");
        std::size_t positional = 0;
        for (const auto& found :
             nb::iter(inspect.attr("signature")(function).attr("parameters").attr("values")())) {
            const nb::object kind = found.attr("kind");
            if (!found.attr("default").is(parameter.attr("empty"))) continue;
            if (kind.equal(parameter.attr("POSITIONAL_ONLY")) ||
                kind.equal(parameter.attr("POSITIONAL_OR_KEYWORD")))
                ++positional;
        }
        return positional >= 2;
    } catch (nb::python_error& error) {
        if (!error.matches(PyExc_ValueError) && !error.matches(PyExc_TypeError)) throw;
        return false;  // a built-in function does not tell
    }
}

/// Steps by a function, or nothing for those that have a JSON form.
std::optional<StepFunction> step_function(const nb::handle& value) {
    if (nb::isinstance<StepFunction>(value)) return nb::cast<StepFunction>(value);
    if (PyCallable_Check(value.ptr()) == 0) return {};
    return [function = Held(nb::borrow(value)), two = takes_two(value)](int step, int num_steps) {
        const nb::gil_scoped_acquire lock;
        return is_true(two ? function.get()(step, num_steps) : function.get()(step));
    };
}

constexpr const char* kFilter = "wildcard_or_filter_func";
constexpr const char* kSteps = "select_cache_step_func";
// What stands for a function in the JSON form.
constexpr const char* kAnyName = "*";
constexpr const char* kNever = "False";

nb::object from_json(const std::string& text) {
    return nb::module_::import_("json").attr("loads")(text);
}

/// The modules of a denoiser that something else runs, so that configurations and policies can be asked about
/// them.
class Modules {
  public:
    /// (name, kind), parents before what is inside.
    Modules(std::string denoiser_class, const std::vector<std::pair<std::string, std::string>>& modules)
        : class_name_(std::move(denoiser_class)) {
        graph_.name = class_name_;
        graph_.modules.emplace_back();
        std::map<std::string, graph::ModuleId, std::less<>> ids;
        for (const auto& [name, kind] : modules) {
            graph::Module module;
            module.name = name;
            module.kind = module_kind(kind);
            module.parent = 0;
            module.outputs = {0};  // it has some
            module.invocations = 1;
            for (auto dot = name.rfind('.'); dot != std::string::npos && dot > 0;
                 dot = name.rfind('.', dot - 1))
                if (const auto found = ids.find(std::string_view(name).substr(0, dot)); found != ids.end()) {
                    module.parent = found->second;
                    break;
                }
            ids[name] = static_cast<graph::ModuleId>(graph_.modules.size());
            graph_.modules.push_back(std::move(module));
        }
    }
    /// Of one of Reprise's own pipelines, for a call with these options.
    Modules(const pipelines::DiffusionPipeline& pipeline, const GenerateOptions& options)
        : view_(std::make_shared<pipelines::PolicyView>(pipeline, options)) {}

    const graph::Graph& graph() const { return view_ ? view_->context().graph : graph_; }
    /// What policies may look at; `num_inference_steps` is 0 where it is not known.
    cachify::PolicyContext context(int num_inference_steps = 0) const {
        if (view_) return view_->context();
        cachify::PolicyContext context{class_name_, graph_};
        context.decides_while_running = false;
        context.run.num_inference_steps = num_inference_steps;
        return context;
    }

    /// Logs a warning, once.
    void advise(const std::string& text) const {
        if (advised_.insert(text).second) spdlog::warn("{}", text);
    }

    std::vector<std::pair<std::string, std::string>> list() const {
        std::vector<std::pair<std::string, std::string>> modules;
        for (std::size_t m = 1; m < graph().modules.size(); ++m)
            modules.emplace_back(graph().modules[m].name, name_of(graph().modules[m].kind));
        return modules;
    }

  private:
    std::string class_name_;
    graph::Graph graph_;
    std::shared_ptr<const pipelines::PolicyView> view_;  ///< of Reprise's own pipelines, or none
    mutable std::set<std::string> advised_;
};

/// What a configuration decides for a list of modules and the evaluations of a run.
struct Decisions {
    struct Rule {
        std::string module;
        Store store;
        std::string kept_in;      ///< or empty
        std::vector<bool> reuse;  ///< by step, or by evaluation with Count::evaluations
    };
    int num_decisions = 0;
    std::vector<Rule> rules;
};

void refuse_what_only_pipelines_have(const Entry& entry, std::size_t number) {
    const auto about = [&](ModuleKind kind) { return cachify::is_about(entry, kind); };
    const char* what = about(ModuleKind::guidance)                ? "reuse of halves of guidance"
                       : about(ModuleKind::denoiser)              ? "reuse of the whole denoiser"
                       : entry.store.rule == Store::Rule::mean    ? "the mean over halves of guidance"
                       : entry.as_one || about(ModuleKind::chain) ? "reuse of several modules as one"
                       : entry.decide                             ? "a decision while running"
                                                                  : nullptr;
    if (what != nullptr)
        usage_error("cache entry {}: {} is not supported on diffusers pipelines; Reprise's own have it",
                    number, what);
}

Decisions decide(const Modules& modules, const nb::handle& entries,
                 const std::vector<int>& steps_of_evaluations, const std::string& count_name, bool advises) {
    if (steps_of_evaluations.empty()) usage_error("a run without evaluations; expected at least one");
    const Config config = config_of(entries);
    for (std::size_t i = 0; i < config.size(); ++i) refuse_what_only_pipelines_have(config[i], i);
    const cachify::Count count = count_of(count_name);
    const int decisions = count == cachify::Count::steps ? steps_of_evaluations.back() + 1
                                                         : static_cast<int>(steps_of_evaluations.size());
    cachify::Schedule schedule = cachify::make_schedule(modules.graph(), config, decisions, 1, count);
    if (const std::string advice = cachify::advice_on(config, schedule); advises && !advice.empty())
        modules.advise(advice);
    Decisions result;
    result.num_decisions = decisions;
    for (auto& rule : schedule.rules) {
        result.rules.push_back(
            {modules.graph().modules[static_cast<std::size_t>(rule.module)].name, rule.store,
             std::string(rule.store.kept_in ? name_of(*rule.store.kept_in) : ""), rule.reuse.front()});
        // To the order of runs, which is checked here, it matters only how many values a sum takes.
        Store::Rule& kept = rule.store.rule;
        kept = kept == Store::Rule::delta_linear || kept == Store::Rule::linear ? Store::Rule::linear
                                                                                : Store::Rule::output;
    }
    const auto extended = cachify::extend(modules.graph(), schedule);
    cachify::analyse(extended, schedule, cachify::make_sequence(steps_of_evaluations, schedule));
    return result;
}

void bind_modules(nb::module_& m) {
    nb::class_<Decisions::Rule>(m, "Rule", "What is decided for one module.")
        .def_ro("module", &Decisions::Rule::module)
        .def_prop_ro(
            "is_delta", [](const Decisions::Rule& rule) { return cachify::keeps_differences(rule.store); },
            "Whether differences between a module's output and its input are kept.")
        .def_prop_ro(
            "is_combination", [](const Decisions::Rule& rule) { return cachify::is_combination(rule.store); },
            "Whether reuse sums what was kept; else it takes the last.")
        .def_prop_ro(
            "most_terms", [](const Decisions::Rule& rule) { return cachify::most_terms(rule.store); },
            "How many of the last values are kept.")
        .def(
            "least_terms",
            [](const Decisions::Rule& rule, int decision) {
                return cachify::least_terms_at(rule.store, decision);
            },
            "decision"_a, "How many there must be to reuse there.")
        .def(
            "weights",
            [](const Decisions::Rule& rule, const std::vector<int>& when, int evaluation, int decision) {
                return cachify::weights_at(rule.store, when, evaluation, decision);
            },
            "when"_a, "evaluation"_a, "decision"_a,
            "Of the last values, newest first, which were computed at the evaluations `when`.")
        .def_ro("kept_in", &Decisions::Rule::kept_in, "f16, bf16, or empty: as computed.")
        .def_ro("reuse", &Decisions::Rule::reuse, "For each decision, whether it is reused.");
    nb::class_<Decisions>(m, "Decisions")
        .def_ro("num_decisions", &Decisions::num_decisions, "Steps, or evaluations where those are counted.")
        .def_ro("rules", &Decisions::rules, "For the modules that are reused at all.");
    nb::class_<Modules>(m, "Modules", "A denoiser's modules by name and kind.")
        .def(nb::init<std::string, std::vector<std::pair<std::string, std::string>>>(), "denoiser_class"_a,
             "modules"_a, "(name, kind), parents before what is inside.")
        .def("all", &Modules::list, "(name, kind), in order.")
        .def("decide", &decide, "config"_a, "steps_of_evaluations"_a, "count"_a, "advises"_a,
             "Which module is reused at which step. ValueError as for Reprise's own pipelines. advises: "
             "whether "
             "it warns where nothing is reused.")
        .def(
            "make_policy",
            [](const Modules& modules, std::string_view text, int num_inference_steps) {
                cachify::PolicyContext context = modules.context(num_inference_steps);
                std::vector<std::string> said;
                context.on_message = [&](const Message& message) {
                    if (message.level == Message::Level::info)
                        said.push_back(message.text);
                    else
                        spdlog::warn("{}", message.text);
                };
                return std::pair(entries_of(cachify::make_policy(context, text)), said);
            },
            "text"_a, "num_inference_steps"_a, "The configuration, and in lines what \"auto\" chose.")
        .def(
            "parse_config",
            [](const Modules& modules, std::string_view json, std::string_view origin) {
                return entries_of(cachify::parse_config(json, origin, modules.context()));
            },
            "json"_a, "origin"_a);
    m.def(
        "modules_of",
        [](const Pipeline& pipe, const GenerateOptions& options) {
            const nb::gil_scoped_release unlock;
            return Modules(pipe.implementation(), options);
        },
        "pipe"_a, "options"_a, nb::keep_alive<0, 1>(), "Those of a call with these options.");
    m.def(
        "kind_of_class", [](std::string_view name) { return name_of(kind_of_class(name)); },
        "diffusers_class"_a);
    m.def(
        "steps_of_evaluations",
        [](const std::string& scheduler_config, int num_inference_steps) {
            const auto scheduler = make_scheduler(parse_json(scheduler_config, "scheduler"), "scheduler");
            std::vector<int> steps;
            const auto sampler = scheduler->start(num_inference_steps);
            for (const auto& evaluation : sampler->evaluations()) steps.push_back(evaluation.step);
            return steps;
        },
        "scheduler_config"_a, "num_inference_steps"_a,
        "For each evaluation of a scheduler, by its JSON configuration, the sampler's step.");
}

void bind_running_policies(nb::module_& m) {
    using cachify::RunningOptions;
    nb::class_<RunningOptions>(m, "RunningOptions")
        .def(nb::init<double, int, int, int, std::string>(), "threshold"_a, "warm_up"_a, "most_in_a_row"_a,
             "most_in_all"_a, "mask"_a);
    m.def(
        "dual_block_cache",
        [](const Modules& modules, int first, int last, int order, const RunningOptions& running) {
            return entries_of(cachify::dual_block_cache(modules.context(), {first, last, order, running}));
        },
        "modules"_a, "first"_a, "last"_a, "order"_a, "running"_a);
    m.def(
        "easy_cache",
        [](bool unet, const RunningOptions& running) {
            return entries_of(unet ? cachify::unet_cache({running}) : cachify::easy_cache({running}));
        },
        "unet"_a, "running"_a);
    m.def(
        "mag_cache",
        [](const Modules& modules, const std::string& profile, double retention,
           const RunningOptions& running) {
            return entries_of(cachify::mag_cache(
                modules.context(), cachify::parse_profile(profile, "profile"), {running, retention}));
        },
        "modules"_a, "profile"_a, "retention"_a, "running"_a);
    m.def(
        "tea_cache",
        [](const Modules& modules, const std::string& profile, const RunningOptions& running) {
            return entries_of(
                cachify::tea_cache(modules.context(), cachify::parse_profile(profile, "profile"), {running}));
        },
        "modules"_a, "profile"_a, "running"_a);
    m.def(
        "replay",
        [](const nb::object& config, const std::vector<std::vector<int>>& decisions) {
            return entries_of(cachify::replay(config_of(config), decisions));
        },
        "config"_a, "decisions"_a);
}

void bind_policies(nb::module_& m) {
    m.def(
        "t_gate",
        [](int gate, int warm_up, int interval, int interval_after_gate, bool conditional) {
            return entries_of(cachify::t_gate({gate, warm_up, interval, interval_after_gate, conditional}));
        },
        "gate"_a, "warm_up"_a, "interval"_a, "interval_after_gate"_a, "conditional"_a);
    m.def(
        "taylor_seer",
        [](int interval, int before, int after, int order, const std::vector<std::string>& kinds) {
            cachify::TaylorSeerOptions options = {interval, before, after, order, {}};
            for (const auto& kind : kinds) options.kinds.push_back(module_kind(kind));
            return entries_of(cachify::taylor_seer(options));
        },
        "interval"_a, "before"_a, "after"_a, "order"_a, "kinds"_a);
    m.def(
        "guidance_reuse",
        [](int interval, int before) {
            return entries_of(cachify::guidance_reuse({interval, before}));
        },
        "interval"_a, "before"_a);
    m.def(
        "deep_cache",
        [](const Modules& modules, int interval, int branch, bool uniform, double center, double power) {
            return entries_of(
                cachify::deep_cache(modules.context(), {interval, branch, uniform, center, power}));
        },
        "modules"_a, "interval"_a, "branch"_a, "uniform"_a, "center"_a, "power"_a);
    m.def(
        "attention_broadcast",
        [](const Modules& modules, int self_attention, int cross_attention, int joint_attention,
           int temporal_attention, double from, double to) {
            return entries_of(cachify::attention_broadcast(
                modules.context(),
                {self_attention, cross_attention, joint_attention, temporal_attention, from, to}));
        },
        "modules"_a, "self_attention"_a, "cross_attention"_a, "joint_attention"_a, "temporal_attention"_a,
        "begin"_a, "end"_a);
    bind_running_policies(m);
    m.def(
        "policy_rows", [] { return cachify::describe_policies().dump(); },
        "The policies with their parameters, as JSON.");
    m.def("policy_names", [] {
        std::vector<std::string_view> names;
        for (const auto& policy : cachify::policies()) names.push_back(policy.name);
        return names;
    });
}

}  // namespace

Config config_of(const nb::handle& entries) {
    if (nb::isinstance<nb::str>(entries) || nb::isinstance<nb::dict>(entries) ||
        !nb::isinstance<nb::sequence>(entries))
        wrong_type("the cache configuration is {}; expected a list of dicts", words_for(entries));
    // All but functions has a JSON form, which the library reads; functions then take their places.
    nb::list plain;
    std::vector<std::optional<ModuleFilter>> filters;
    std::vector<std::optional<StepFunction>> steps;
    for (const auto& entry : nb::iter(nb::borrow(entries))) {
        filters.emplace_back();
        steps.emplace_back();
        if (!nb::isinstance<nb::dict>(entry)) {
            plain.append(entry);
            continue;
        }
        nb::dict copy;
        copy.update(nb::borrow<nb::dict>(entry));
        if (copy.contains(kFilter)) {
            filters.back() = filter_with_function(copy[kFilter]);
            if (filters.back()) copy[kFilter] = kAnyName;
        }
        if (copy.contains(kSteps)) {
            steps.back() = step_function(copy[kSteps]);
            if (steps.back()) copy[kSteps] = kNever;
        }
        plain.append(copy);
    }
    const auto json = nb::cast<std::string>(arguments().attr("config_json")(plain));
    Config config = cachify::parse_config(json, "cache configuration");
    for (std::size_t i = 0; i < config.size(); ++i) {
        if (filters[i]) config[i].wildcard_or_filter_func = std::move(*filters[i]);
        if (steps[i]) config[i].select_cache_step_func = std::move(*steps[i]);
    }
    return config;
}

nb::list entries_of(const Config& config) {
    Config plain = config;
    for (Entry& entry : plain) {
        if (entry.wildcard_or_filter_func.text() == "function") entry.wildcard_or_filter_func = kAnyName;
        if (entry.select_cache_step_func.text() == "function") entry.select_cache_step_func = kNever;
    }
    nb::list entries(from_json(cachify::to_json(plain)));
    for (std::size_t i = 0; i < config.size(); ++i) {
        nb::object entry = entries[i];
        if (config[i].wildcard_or_filter_func.text() == "function")
            entry[kFilter] = nb::cast(config[i].wildcard_or_filter_func);
        if (config[i].select_cache_step_func.text() == "function")
            entry[kSteps] = nb::cast(config[i].select_cache_step_func);
    }
    return entries;
}

cachify::Count count_of(const std::string& name) {
    return options::value_of<cachify::Count>(name, "count");
}

void bind_cachify(nb::module_& m) {
    nb::class_<ModuleFilter>(m, "ModuleFilter", "A function of a module's name, of the library's.")
        .def(
            "__call__",
            [](const ModuleFilter& filter, const nb::object& name) {
                return filter.matches(nb::cast<std::string>(arguments().attr("text")("name", name)));
            },
            "name"_a, nb::sig("def __call__(self, name: str) -> bool"));
    nb::class_<StepFunction>(m, "StepFunction",
                             "A function of the step and the number of steps, of the library's.")
        .def(
            "__call__",
            [](const StepFunction& function, const nb::object& step, const nb::object& num_steps) {
                const nb::object integer = arguments().attr("integer");
                return function(nb::cast<int>(integer("step", step)),
                                nb::cast<int>(integer("num_steps", num_steps)));
            },
            "step"_a, "num_steps"_a, nb::sig("def __call__(self, step: int, num_steps: int) -> bool"));
    bind_modules(m);
    bind_policies(m);
    m.def(
        "prepare",
        [](Pipeline& pipe, const nb::object& run, const nb::object& config, const std::string& count) {
            Config entries = config_of(config);
            const cachify::Count counted = count_of(count);
            if (nb::isinstance<nb::int_>(run)) {
                const int num_inference_steps = nb::cast<int>(run);
                const nb::gil_scoped_release unlock;
                cachify::prepare(pipe, num_inference_steps, std::move(entries), counted);
            } else {
                const GenerateOptions& options = nb::cast<const GenerateOptions&>(run);
                const nb::gil_scoped_release unlock;
                cachify::prepare(pipe, options, std::move(entries), counted);
            }
        },
        "pipe"_a, "run"_a, "config"_a, "count"_a,
        nb::sig(
            "def prepare(pipe: Pipeline, run: int | GenerateOptions, config: object, count: str) -> None"),
        "run: a number of steps, or the options of a call.");
    m.def(
        "prepare_nothing",
        [](Pipeline& pipe) { pipe.implementation().set_default_reuse(std::make_shared<const Reuse>()); },
        "pipe"_a, "As \"auto\" chose and said.");
    // `cachify` functions change the pipeline at once: they wait for nothing and keep the interpreter's lock.
    m.def("enable", &cachify::enable, "pipe"_a);
    m.def("disable", &cachify::disable, "pipe"_a);
    m.def("unprepare", &cachify::unprepare, "pipe"_a);
    m.def("reset_status", &cachify::reset_status, "pipe"_a);
    m.def(
        "parse_config",
        [](std::string_view json, std::string_view origin) {
            return entries_of(cachify::parse_config(json, origin));
        },
        "json"_a, "origin"_a);
    m.def(
        "to_json", [](const nb::object& config) { return cachify::to_json(config_of(config)); }, "config"_a);
    const std::pair<const char*, const Config*> published[] = {
        {"SDXL_DEFAULT_CONFIG", &cachify::SDXL_DEFAULT_CONFIG},
        {"PIXART_DEFAULT_CONFIG", &cachify::PIXART_DEFAULT_CONFIG},
        {"PIXART_ORIGINAL_EXAMPLE_CONFIG", &cachify::PIXART_ORIGINAL_EXAMPLE_CONFIG},
        {"SVD_DEFAULT_CONFIG", &cachify::SVD_DEFAULT_CONFIG},
        {"SD3_DEFAULT_CONFIG", &cachify::SD3_DEFAULT_CONFIG},
    };
    m.def("published_configs", [published = std::to_array(published)] {
        nb::dict configs;
        for (const auto& [name, config] : published) configs[name] = entries_of(*config);
        return configs;
    });
}

}  // namespace reprise::python
