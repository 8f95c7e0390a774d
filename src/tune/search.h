#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace reprise::tune {

/// For each step the mode that it is run in; 0 is a full step.
using Modes = std::vector<int>;

/// No deviation or distance is larger: what is no number counts as this.
constexpr double kFarthest = 1e6;

/// What the search knows of the modes of a step.
struct ModeTable {
    std::vector<std::string> names;  ///< [mode], the first "full"
    /// [mode]: of one step, where the run has both halves of guidance as two passes.
    std::vector<double> seconds;
    /// [mode]: the same where it has them as one batch; empty where it never has. Negative: the mode needs
    /// two passes.
    std::vector<double> batched_seconds;

    std::size_t size() const { return names.size(); }
    /// Of a whole run, the cheaper way that its modes allow.
    double cost(const Modes& modes) const;
    double full_cost(std::size_t num_steps) const { return cost(Modes(num_steps, 0)); }
};

/// How far results are from the full one.
class Runner {
  public:
    virtual ~Runner() = default;
    virtual std::size_t num_steps() const = 0;
    /// Prompts with seeds: what distances are means over.
    virtual std::size_t num_pairs() const = 0;
    /// The difference of the pair's final latents to the full result's, relative to their magnitude: as a
    /// short vector that keeps lengths and sums (a random projection).
    virtual std::vector<float> deviation(std::size_t pair, const Modes& modes) = 0;
    /// The exact length of the difference, relative to the full result.
    virtual double distance(std::size_t pair, const Modes& modes) = 0;
};

struct SearchOptions {
    double speedup = 2;             ///< of the denoiser's time
    std::size_t most_in_a_row = 4;  ///< reused steps after a full one that are measured as a block
    std::size_t block_pairs = 2;    ///< of the pairs, so many are measured block by block
    std::size_t change_pairs = 8;   ///< and so many change by change
    std::size_t beam = 24;          ///< partial schedules kept for each step and hundredth of the cost
    std::size_t candidates = 12;    ///< schedules of a model that are run
    std::size_t trials = 200;       ///< schedules that the local search runs at most
    std::uint64_t seed = 0;
    std::function<bool()> enough = {};  ///< asked before each trial: whether to leave it there
};

/// Everything that was measured: whatever is in it is not measured again, so that a search can stop anywhere
/// and go on later, to the same end.
struct Record {
    ModeTable table;
    std::map<Modes, std::vector<std::vector<float>>> deviations;  ///< by pair, of as many as were asked for
    std::map<Modes, std::vector<double>> distances;               ///< by pair; fewer where it was given up
};

/// What a search found.
struct Found {
    Modes modes;
    double distance = 0;   ///< mean over pairs
    double seconds = 0;    ///< predicted, of a run
    double predicted = 0;  ///< distance by the model of blocks alone; negative: it does not say
    double by_model = 0;   ///< distance of the best of the model's candidates, before the local search
};

/// Where a search is, for people. Returning false stops it with an Error of kind `cancelled`.
struct Progress {
    enum class Stage { blocks, candidates, changes, trials } stage = Stage::blocks;
    std::size_t done = 0, of = 0;
    double best = -1;  ///< distance; negative: none yet
};
using OnProgress = std::function<bool(const Progress&)>;

/// The highest speedup that a schedule can have: one full step, all others in the cheapest mode.
double most_speedup(const ModeTable& table, std::size_t num_steps);
/// Error (usage) when no schedule has it.
void check_speedup(const ModeTable& table, std::size_t num_steps, double speedup);

/// Measures the blocks that the record lacks: a full step and, after it, a few in one mode, all others full.
void measure_blocks(Runner& runner, Record& record, const SearchOptions& options, const OnProgress& progress);
/// The schedules within the cost that the measured blocks say are nearest to the full result, nearest first.
std::vector<Modes> best_by_model(const Record& record, std::size_t num_steps, const SearchOptions& options);
/// Distance that the measured blocks predict: the length of the sum of their deviations. Negative where a
/// schedule is not made of measured blocks.
double predicted_distance(const Record& record, const Modes& modes);
/// The schedules that differ from `base` in a few steps, cost no more than is allowed, and are nearer to the
/// full result, nearest first, by what each change by itself moves it. Measures the changes that the record
/// lacks.
std::vector<Modes> best_changes(Runner& runner, Record& record, const Modes& base, std::size_t most_changes,
                                const SearchOptions& options, const OnProgress& progress);
/// The whole search: blocks, candidates, then changes of the best one by real runs.
Found search(Runner& runner, Record& record, const SearchOptions& options, const OnProgress& progress);

}  // namespace reprise::tune
