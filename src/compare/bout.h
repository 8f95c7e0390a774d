#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pipelines/diffusion_pipeline.h"
#include "report/comparison.h"
#include "reprise/cachify.h"
#include "reprise/pipeline.h"

namespace reprise::report {

/// A way of reuse that takes part.
struct Contestant {
    std::string name;  ///< for people; not one that `is_reserved` for other ways
    cachify::Config config;
};
/// Whether a name means the full way or one of fewer steps: "full", "1 step", "12 steps".
bool is_reserved(std::string_view name);

struct BoutOptions {
    GenerateOptions base;              ///< of every call, but for prompt, picture and seed
    std::vector<std::string> prompts;  ///< of pictures their names for people
    std::vector<Image> pictures;       ///< what is animated, one for each name; else empty
    std::vector<Contestant> contestants;
    cachify::Count count = cachify::Count::steps;
    std::vector<std::uint64_t> seeds;
    /// Measured runs of each way, prompt and seed. None: 3 of a single prompt and seed, 2 of two, else 1.
    std::optional<int> runs;
    std::optional<std::vector<int>> fewer;  ///< numbers of steps; none: chosen by the measured times
};

/// Makes the same pictures in full, in every way of reuse, and with fewer steps, all by turns, so that a
/// machine that becomes slower meanwhile is as slow for each. A turn is a call with one prompt and seed; the
/// first of a way makes its pictures, later ones are timed only.
class Bout {
  public:
    /// One call of the pipeline with these options. May throw to stop.
    using Call = std::function<GenerateOutput(const GenerateOptions& options, const std::string& label)>;
    /// Error (usage) for what cannot be run or compared.
    Bout(Pipeline& pipe, BoutOptions options, Call call);

    /// Whether full runs go over the pieces of the reused ones, because the weights are too large to be
    /// compiled twice. Each way of reuse then has a bout with the full one of its own.
    bool one_cut() const { return one_cut_; }
    /// With a title and how everything was made. Once.
    Comparison run();

  private:
    struct Times {
        double full = 0, reused = 0;
    };
    void check() const;
    void warm_up(const Contestant& contestant);
    Times time(const Contestant& contestant);
    void choose_steps(const std::vector<double>& relative_times);
    void take_turns(const std::vector<std::size_t>& cached, bool fewer);
    void keep(Way& way, const Turn* full, GenerateOutput output, std::size_t call);
    void add_settings();

    /// Calls of a way, each of one prompt and seed.
    std::size_t num_calls() const { return o_.seeds.size() * o_.prompts.size(); }
    GenerateOptions options(std::size_t call, bool decode) const;
    GenerateOutput full_run(const Contestant& beside, GenerateOptions options, const std::string& label);
    GenerateOutput reused_run(const Contestant& contestant, GenerateOptions options,
                              const std::string& label);
    double evaluations(int steps) const;
    std::vector<std::string> reused_by_step(const Contestant& contestant);

    pipelines::DiffusionPipeline& pipe_;
    BoutOptions o_;
    Call call_;
    int runs_ = 1;
    bool one_cut_ = false;
    std::size_t per_call_ = 1;  ///< pictures
    Comparison result_;
};

}  // namespace reprise::report
