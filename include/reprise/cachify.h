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

namespace reprise {
class Pipeline;
struct GenerateOptions;
}  // namespace reprise

/// Reuse of module outputs between denoising steps: NVIDIA's Cache Diffusion interface.
namespace reprise::cachify {

/// Which modules an entry is about: an fnmatch pattern over the whole name (`*`, `?`, `[seq]`, `[!seq]`), a
/// function of the name, a regular expression (searched for, Python's `re.search` meaning), or the negation
/// of one of these.
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
    /// Its JSON form, or "function" for one that has none.
    const std::string& text() const { return text_; }

  private:
    ModuleFilter(Function function, std::string text)
        : function_(std::move(function)), text_(std::move(text)) {}
    Function function_;
    std::string text_;
};

/// When an entry's modules are reused: a function of the step (counted from 0) and, if it likes, of the
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
    /// Steps of a run of any number, or of `num_steps` alone: asked about another number, the function throws
    /// an Error (usage).
    StepFunction(std::vector<int> steps, int num_steps = 0);
    // NOLINTEND(google-explicit-constructor)

    /// One of cache-dit's step masks: "slow", "medium", "fast", "ultra", as it has them for 28 steps,
    /// stretched in proportion to other numbers, where its own differ a little. Error (usage) for another.
    static StepFunction mask(const std::string& name);

    bool operator()(int step, int num_steps) const { return function_(step, num_steps); }
    /// Its JSON form, or "function" for one that has none.
    const std::string& text() const { return text_; }

  private:
    StepFunction(Function function, std::string text)
        : function_(std::move(function)), text_(std::move(text)) {}
    Function function_;
    std::string text_;
};

/// What is kept when a module runs and what it yields when it is reused. A half of guidance (kind guidance)
/// is reused by making up its prediction: `output` and `forecast` from its own last ones, `delta` from the
/// other half's now and what the two last differed by (arXiv 2410.19355).
struct Store {
    enum class Rule {
        output,          ///< its last output
        delta,           ///< its input now, plus what it last added to its input
        forecast,        ///< its last outputs, extrapolated to this step (TaylorSeer)
        delta_forecast,  ///< its input now, plus an extrapolation of what it last added
        mean,  ///< the mean over guidance branches of their last outputs (T-Gate); needs split guidance
        drop,  ///< of guidance alone: nothing; the other half's prediction is the result
    };
    Rule rule = Rule::output;
    int order = 1;  ///< of an extrapolation: 1 or 2
    /// f16 or bf16: what is kept takes half the bytes of a denoiser that runs in f32, and loses its last
    /// digits (f16 ends at 65,504). Without, it is kept in the type that the denoiser runs in. Guidance's
    /// predictions, which are small, are always kept in full.
    std::optional<DType> kept_in = {};

    friend bool operator==(const Store&, const Store&) = default;
};
/// "output", "delta", "forecast(1)", "delta_forecast(1)", "mean", "drop"; "delta in f16".
std::string to_string(const Store& store);

/// One line of a configuration. The first two names are the original's.
struct Entry {
    ModuleFilter wildcard_or_filter_func;
    StepFunction select_cache_step_func;
    /// The kinds of module that the filter is shown.
    std::vector<ModuleKind> kinds = {ModuleKind::block};
    Store store = {};
    /// Whether the matched modules, which must follow one another along one stream, are reused as one: kept
    /// is what they add together.
    bool as_one = false;
    /// Given, the steps above are where reuse is allowed (never step 0), and this decides while running. All
    /// entries that have one must have the same.
    std::optional<Decision> decide = {};
};

/// What to reuse when. Where several entries match a module, the last of them holds.
using Config = std::vector<Entry>;

/// What a configuration's steps are.
enum class Count {
    steps,        ///< the sampler's steps: each counts once however often it calls the denoiser
    evaluations,  ///< calls of the denoiser, as the original counts
};

/// The original's default configurations of the published models (see docs/architecture.md for other depths).
extern const Config SDXL_DEFAULT_CONFIG;
extern const Config PIXART_DEFAULT_CONFIG;
/// What the original's example for PixArt does, where PIXART_DEFAULT_CONFIG is what it means: its expression
/// ends in a dot, which no block's own name has, so that all blocks are reused, the last ones too.
extern const Config PIXART_ORIGINAL_EXAMPLE_CONFIG;
extern const Config SVD_DEFAULT_CONFIG;
extern const Config SD3_DEFAULT_CONFIG;

/// A configuration from its JSON form: a list of objects with "wildcard_or_filter_func" (pattern, {"regex":
/// ...} or
/// {"not": ...}), "select_cache_step_func" (expression or list of steps), and optionally "kinds" (list of
/// names), "store" ("output", "delta", "mean", {"forecast": order}, {"delta_forecast": order}), "kept_in"
/// ("f16" or "bf16"), "as_one" and "decide". `origin` names it in errors. Error (usage).
Config parse_config(std::string_view json, std::string_view origin);
/// Error (usage) when the file cannot be read or parsed.
Config load_config(const std::string& path);
/// The same; only so are configurations taken that name policies or the denoiser that they were found for.
Config load_config(const Pipeline& pipe, const std::string& path);
/// The JSON form; Error (usage) when an entry holds a C++ function, which has none.
std::string to_json(const Config& config);

/// Makes the pipeline reuse modules by this configuration from its next call on; replaces an earlier one.
/// Run with another number of steps, the pipeline plans anew. Error (usage) naming the entry for a filter
/// that matches nothing, and naming module and step for reuse of what never ran.
void prepare(Pipeline& pipe, int num_inference_steps, Config config, Count count = Count::steps);
/// The same, checked for the call that these options make: its sampler, size and number of steps.
void prepare(Pipeline& pipe, const GenerateOptions& run, Config config, Count count = Count::steps);
/// With the policy "auto": what was tuned for this model and number of steps, else a preset that is ahead of
/// fewer steps for its class of denoiser, else nothing. The log says which.
void prepare(Pipeline& pipe, int num_inference_steps);
/// Switches a prepared pipeline's reuse on or off. Off, the prepared cut runs in full. Error (usage) when
/// the pipeline was not prepared.
void enable(Pipeline& pipe);
void disable(Pipeline& pipe);
/// Takes preparation back: the pipeline is as it was before `prepare`.
void unprepare(Pipeline& pipe);
/// Forgets what the last generation reported. Steps are counted from 0 at each call in any case.
void reset_status(Pipeline& pipe);

/// Reuse within a scope: enabled when it begins, disabled and reset when it ends.
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
