#pragma once

#include <concepts>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "reprise/decision.h"
#include "reprise/dtype.h"
#include "reprise/module_kind.h"

#pragma GCC visibility push(default)

namespace reprise {
class Pipeline;
struct GenerateOptions;
}  // namespace reprise

/// Reuse of module outputs between denoising steps: NVIDIA's Cache Diffusion interface.
namespace reprise::cachify {

struct Entry;
/// Which modules are reused at which steps. Where several entries match a module, the last of them holds.
using Config = std::vector<Entry>;

/// Which modules an entry is about. A filter is an fnmatch pattern over the whole name (`*`, `?`, `[seq]`,
/// `[!seq]`), a function of the name, a regular expression (with the meaning of Python's `re.search`), or the
/// negation of one of these.
class ModuleFilter {
  public:
    using Function = std::function<bool(std::string_view name)>;

    // NOLINTBEGIN(google-explicit-constructor): the point is to write patterns and lambdas in place
    ModuleFilter(const char* pattern) : ModuleFilter(std::string(pattern)) {}
    ModuleFilter(const std::string& pattern);
    template <std::predicate<std::string_view> F>
    requires(!std::convertible_to<F, std::string>) ModuleFilter(F function)
        : ModuleFilter(Function(std::move(function)), "function") {}
    // NOLINTEND(google-explicit-constructor)

    /// Error (usage) when the expression does not compile.
    static ModuleFilter regex(const std::string& expression);
    static ModuleFilter negation(ModuleFilter filter);

    /// Error (usage) when a regular expression exceeds its match limit.
    bool matches(std::string_view name) const { return function_(name); }
    /// The JSON form of the filter. A C++ function has none: "function".
    const std::string& text() const { return text_; }

  private:
    friend Config remembered(Config config);
    ModuleFilter(Function function, std::string text)
        : function_(std::move(function)), text_(std::move(text)) {}
    Function function_;
    std::string text_;
};

/// When an entry's modules are reused. It is a function of the step (counted from 0) and, optionally, of the
/// number of steps; or an expression over `step` and `num_steps` in Python's notation
/// ("step % 2 != 0", "step in [3, 5] or step > num_steps // 2"); or a list of steps.
class StepFunction {
  public:
    using Function = std::function<bool(int step, int num_steps)>;

    // NOLINTBEGIN(google-explicit-constructor)
    template <std::predicate<int, int> F>
    StepFunction(F function) : function_(std::move(function)), text_("function") {}
    template <std::predicate<int> F>
    requires(!std::predicate<F, int, int>) StepFunction(F function)
        : function_([f = std::move(function)](int step, int) { return f(step); }), text_("function") {}
    /// Error (usage) when the expression does not parse.
    StepFunction(const char* expression) : StepFunction(std::string(expression)) {}
    StepFunction(const std::string& expression);
    /// A list of steps. `num_steps` 0: it holds for any number of steps. Otherwise it holds for that number
    /// alone, and a call with another number throws an Error (usage).
    StepFunction(std::vector<int> steps, int num_steps = 0);
    // NOLINTEND(google-explicit-constructor)

    /// One of cache-dit's step masks: "slow", "medium", "fast", "ultra". They are equal to cache-dit's for 28
    /// steps. For other numbers of steps they are scaled in proportion, and differ a little from cache-dit's.
    /// Error (usage) for another name.
    static StepFunction mask(const std::string& name);

    bool operator()(int step, int num_steps) const { return function_(step, num_steps); }
    /// The JSON form of the step function. A C++ function has none: "function".
    const std::string& text() const { return text_; }

  private:
    friend Config remembered(Config config);
    StepFunction(Function function, std::string text)
        : function_(std::move(function)), text_(std::move(text)) {}
    Function function_;
    std::string text_;
};

/// What is kept when a module runs, and what the module yields when it is reused. Where a half of guidance
/// (kind guidance) is reused, its prediction is computed from earlier ones. `output`, `forecast` and `linear`
/// use the last predictions of that half. `delta` uses the other half's prediction of this step, plus the
/// last difference between the two (arXiv 2410.19355).
struct Store {
    enum class Rule {
        output,          ///< the module's last output
        delta,           ///< its present input, plus the last difference between its output and input
        forecast,        ///< its last outputs, extrapolated to this step (TaylorSeer)
        delta_forecast,  ///< its present input, plus the extrapolated difference
        linear,          ///< the sum of its last outputs with given weights
        delta_linear,    ///< its present input, plus the sum of its last differences with given weights
        mean,  ///< the mean over guidance branches of their last outputs (T-Gate); needs split guidance
        drop,  ///< for guidance alone: no prediction; the other half's prediction is the result
    };
    Rule rule = Rule::output;
    int order = 1;  ///< of an extrapolation: 1 or 2
    /// The type in which the values are kept: f16 or bf16. Where the denoiser runs in f32, this halves their
    /// bytes and loses their last digits (the largest f16 is 65,504). Not given: the type that the denoiser
    /// runs in. Predictions of guidance are small and are always kept in f32.
    std::optional<DType> kept_in = {};
    /// Of `linear` and `delta_linear`, newest value first: one list, which holds at every step; or for each
    /// step (evaluation with Count::evaluations) its list, empty where nothing is reused. So many values are
    /// kept as the longest list has weights. A sum of n needs a module that has run n times before.
    std::vector<std::vector<double>> weights = {};

    friend bool operator==(const Store&, const Store&) = default;
};
/// "output", "delta", "forecast(1)", "delta_forecast(1)", "mean", "drop"; "linear(3)" of at most 3 values;
/// "delta in f16".
std::string to_string(const Store& store);

/// One entry of a configuration. The first two names are the original's.
struct Entry {
    ModuleFilter wildcard_or_filter_func;
    StepFunction select_cache_step_func;
    /// The filter is applied to modules of these kinds.
    std::vector<ModuleKind> kinds = {ModuleKind::block};
    Store store = {};
    /// True: the matched modules are reused as one, and what they add together is kept. They must follow one
    /// another along one stream.
    bool as_one = false;
    /// Where it is given, the steps above say where reuse is allowed (never step 0), and this decides while
    /// running. All entries that have a decision must have the same one.
    std::optional<Decision> decide = {};
    /// Empty: the entry is about the denoiser's own modules. Otherwise it is about those of the networks
    /// beside it whose names match this fnmatch pattern ("control.0", "control.*"); the filter sees the names
    /// that the modules have in that network.
    std::string part = {};
};

/// What the step functions of a configuration count.
enum class Count {
    steps,        ///< the sampler's steps: a step counts once, even if it calls the denoiser twice
    evaluations,  ///< calls of the denoiser, as the original counts
};

/// The original's default configurations of the published models. docs/architecture.md has them for other
/// depths.
extern const Config SDXL_DEFAULT_CONFIG;
extern const Config PIXART_DEFAULT_CONFIG;
/// What the original's example for PixArt does; PIXART_DEFAULT_CONFIG is what it means. The expression in the
/// example ends in a dot. No block's own name has that dot, so all blocks are reused, also the last ones.
extern const Config PIXART_ORIGINAL_EXAMPLE_CONFIG;
extern const Config SVD_DEFAULT_CONFIG;
extern const Config SD3_DEFAULT_CONFIG;

/// Reads a configuration from its JSON form, a list of objects. Each has "wildcard_or_filter_func" (pattern,
/// {"regex": ...} or {"not": ...}) and "select_cache_step_func" (expression or list of steps). Optional are
/// "kinds" (list of names), "store" ("output", "delta", "mean", "drop", {"forecast": order},
/// {"delta_forecast": order}, {"linear": weights}, {"delta_linear": weights}), "kept_in" ("f16" or "bf16"),
/// "as_one", "decide" and "part" (name or pattern). Errors name `origin`. Error (usage) when the text cannot
/// be parsed.
Config parse_config(std::string_view json, std::string_view origin);
/// Reads a file. Error (usage) when it cannot be read or parsed.
Config load_config(const std::string& path);
/// Reads a file for this pipeline. Only this function accepts configurations that name policies, or that name
/// the denoiser that they were found for.
Config load_config(const Pipeline& pipe, const std::string& path);
/// The JSON form. Error (usage) when an entry holds a C++ function, which has no JSON form.
std::string to_json(const Config& config);

/// Makes this configuration the reuse of calls that give none (GenerateOptions::reuse). It replaces an
/// earlier one, and holds for calls that begin later. A call with another number of steps is planned for that
/// number. Error (usage) that names the entry whose filter matches nothing, or the module and step where
/// something is reused that never ran.
void prepare(Pipeline& pipe, int num_inference_steps, Config config, Count count = Count::steps);
/// The same, checked for a call with these options: its sampler, size and number of steps.
void prepare(Pipeline& pipe, const GenerateOptions& run, Config config, Count count = Count::steps);
/// The same with the options' own reuse, which may be by denoiser (Reuse::of).
void prepare(Pipeline& pipe, const GenerateOptions& run);
/// Prepares with the policy "auto". It takes what was tuned for this model and number of steps. Otherwise it
/// takes a preset that was measured ahead of fewer steps for this class of denoiser. Otherwise it reuses
/// nothing. The log says which.
void prepare(Pipeline& pipe, int num_inference_steps);
/// Switches a prepared pipeline's reuse on or off. While it is off, the prepared cut runs in full. Error
/// (usage) when the pipeline was not prepared.
void enable(Pipeline& pipe);
void disable(Pipeline& pipe);
/// Removes the preparation: the pipeline is as it was before `prepare`.
void unprepare(Pipeline& pipe);
/// Clears the report of the last generation. Each call counts its steps from 0, also without this.
void reset_status(Pipeline& pipe);

/// Reuse within a scope: enabled at its beginning, disabled and reset at its end.
class infer {
  public:
    explicit infer(Pipeline& pipe);
    ~infer();
    infer(const infer&) = delete;
    infer& operator=(const infer&) = delete;

  private:
    Pipeline& pipe_;
};

}  // namespace reprise::cachify

#pragma GCC visibility pop
