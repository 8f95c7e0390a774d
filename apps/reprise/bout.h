#pragma once

#include <functional>
#include <string>
#include <vector>

#include "report/comparison.h"
#include "session.h"

namespace reprise::app {

/// A way of reuse that takes part.
struct Contestant {
    std::string name;  ///< for people
    cachify::Config config;
};

struct BoutOptions {
    GenerateOptions base;              ///< with a picture, or none, and defaults filled in
    std::vector<std::string> prompts;  ///< of pictures their names for people
    std::vector<Image> pictures;       ///< what is animated, one for each name; else empty
    std::vector<Contestant> contestants;
    cachify::Count count = cachify::Count::steps;
    std::vector<std::uint64_t> seeds;
    int runs = 1;            ///< measured, for each way, prompt and seed
    std::vector<int> fewer;  ///< numbers of steps; empty: chosen by the measured times
};

/// Makes the same pictures in full, in every way of reuse, and with fewer steps, all by turns, so that a
/// machine that becomes slower meanwhile is as slow for each. A turn is a call with one prompt and seed; the
/// first of a way makes its pictures, later ones are timed only.
class Bout {
  public:
    Bout(Context& context, Session& session, BoutOptions options);

    /// Whether full runs go over the pieces of the reused ones, because the weights are too large to be
    /// compiled twice. Each way of reuse then has a bout with the full one of its own.
    bool one_cut() const { return one_cut_; }
    report::Comparison run();

  private:
    struct Times {
        double full = 0, reused = 0;
    };
    void warm_up(const Contestant& contestant);
    Times time(const Contestant& contestant);
    void choose_steps(const std::vector<double>& relative_times);
    void take_turns(const std::vector<std::size_t>& cached, bool fewer);
    double keep(report::Way& way, double full_seconds, GenerateOutput output, std::size_t call);

    /// Calls of a way, each of one prompt and seed.
    std::size_t num_calls() const { return o_.seeds.size() * o_.prompts.size(); }
    GenerateOptions options(std::size_t call, bool decode) const;
    GenerateOutput full_run(const Contestant& beside, GenerateOptions options, const std::string& label);
    GenerateOutput reused_run(const Contestant& contestant, GenerateOptions options,
                              const std::string& label);
    double evaluations(int steps) const;
    std::vector<std::string> reused_by_step(const Contestant& contestant);

    Context& context_;
    Session& session_;
    BoutOptions o_;
    bool one_cut_ = false;
    std::size_t per_call_ = 1;  ///< pictures
    report::Comparison result_;
};

}  // namespace reprise::app
