#include "tune/search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <tuple>

#include "reprise/error.h"

namespace reprise::tune {

namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

/// What a step of each mode costs in one way of running guidance; infinite where the way cannot run it.
using Costs = std::vector<double>;

std::vector<Costs> ways(const ModeTable& table) {
    std::vector<Costs> result = {table.seconds};
    if (table.batched_seconds.empty()) return result;
    Costs batched = table.batched_seconds;
    for (double& seconds : batched)
        if (seconds < 0) seconds = kNever;
    result.push_back(std::move(batched));
    return result;
}

double sum_of(const Modes& modes, const Costs& costs) {
    double sum = 0;
    for (const int mode : modes) sum += costs.at(static_cast<std::size_t>(mode));
    return sum;
}

double length(std::span<const float> vector) {
    double sum = 0;
    for (const float value : vector) sum += static_cast<double>(value) * value;
    return std::sqrt(sum);
}

/// Slack for sums of the same numbers in another order.
bool within(double cost, double budget) {
    return cost <= budget * (1 + 1e-9);
}

/// A schedule's first steps, with what they move the result by.
struct Partial {
    Modes modes;
    double cost = 0;
    std::vector<std::vector<float>> sums;  ///< by pair
    double distance = 0;                   ///< mean length of the sums
};

class Beam {
  public:
    Beam(const Record& record, std::size_t num_steps, const SearchOptions& options, const Costs& costs,
         double budget)
        : record_(record), num_steps_(num_steps), options_(options), costs_(costs), budget_(budget) {}

    std::vector<Partial> run() {
        std::vector<std::vector<Partial>> at(num_steps_ + 1);
        const std::size_t pairs = record_.blocks.empty() ? 1 : record_.blocks.begin()->second.size();
        at[0].push_back({{}, 0, std::vector<std::vector<float>>(pairs), 0});
        for (std::size_t step = 0; step < num_steps_; ++step) {
            for (const Partial& partial : pruned(std::move(at[step]))) {
                extend(partial, {static_cast<int>(step), 0, 0}, nullptr, at);
                for (auto block = record_.blocks.lower_bound({static_cast<int>(step), 0, 0});
                     block != record_.blocks.end() && block->first.begin == static_cast<int>(step); ++block)
                    extend(partial, block->first, &block->second, at);
            }
            at[step].clear();
        }
        return std::move(at[num_steps_]);
    }

  private:
    void extend(const Partial& partial, const Block& block, const std::vector<std::vector<float>>* deviations,
                std::vector<std::vector<Partial>>& at) const {
        const double cost =
            partial.cost + costs_[0] + block.length * costs_[static_cast<std::size_t>(block.mode)];
        if (!within(cost, budget_)) return;
        Partial next{partial.modes, cost, partial.sums, partial.distance};
        next.modes.push_back(0);
        next.modes.insert(next.modes.end(), static_cast<std::size_t>(block.length), block.mode);
        if (deviations != nullptr) {
            next.distance = 0;
            for (std::size_t pair = 0; pair < next.sums.size(); ++pair) {
                auto& sum = next.sums[pair];
                const auto& more = (*deviations)[pair];
                sum.resize(more.size(), 0);
                for (std::size_t i = 0; i < more.size(); ++i) sum[i] += more[i];
                next.distance += length(sum) / static_cast<double>(next.sums.size());
            }
        }
        at[next.modes.size()].push_back(std::move(next));
    }

    /// The best for each hundredth of the cost.
    std::vector<Partial> pruned(std::vector<Partial> partials) const {
        std::stable_sort(partials.begin(), partials.end(),
                         [](const Partial& a, const Partial& b) { return a.distance < b.distance; });
        std::map<int, std::size_t> kept;
        std::vector<Partial> result;
        for (Partial& partial : partials)
            if (kept[static_cast<int>(100 * partial.cost / budget_)]++ < options_.beam)
                result.push_back(std::move(partial));
        return result;
    }

    const Record& record_;
    std::size_t num_steps_;
    const SearchOptions& options_;
    const Costs& costs_;
    double budget_;
};

/// Runs schedules, each at most once, and knows the best.
class Trials {
  public:
    Trials(Runner& runner, Record& record, double budget)
        : runner_(runner), record_(record), budget_(budget) {}

    bool affordable(const Modes& modes) const { return within(record_.table.cost(modes), budget_); }
    bool is_new(const Modes& modes) const { return !tried_.contains(modes); }
    const Modes& best() const { return best_; }
    double distance() const { return distance_; }

    /// Whether the schedule is the best so far. A run is given up as soon as it cannot be.
    bool run(const Modes& modes) {
        tried_.insert(modes);
        auto& distances = record_.distances[modes];
        const auto pairs = static_cast<double>(runner_.num_pairs());
        double sum = 0;
        for (std::size_t pair = 0; pair < runner_.num_pairs(); ++pair) {
            if (distances.size() <= pair) distances.push_back(runner_.distance(pair, modes));
            sum += distances[pair];
            if (!(sum / pairs < distance_)) return false;
        }
        best_ = modes;
        distance_ = sum / pairs;
        return true;
    }

  private:
    Runner& runner_;
    Record& record_;
    double budget_;
    std::set<Modes> tried_;
    Modes best_;
    double distance_ = kNever;
};

/// Changes a schedule a little, by chance.
class Neighbours {
  public:
    Neighbours(const ModeTable& table, std::uint64_t seed) : table_(table), random_(seed) {}

    Modes of(Modes modes) {
        const std::size_t step = any_step(modes);
        switch (below(4)) {
            case 0:  // a step and the one after it change places
                if (step + 1 < modes.size()) std::swap(modes[step], modes[step + 1]);
                break;
            case 1:  // any two do
                std::swap(modes[step], modes[any_step(modes)]);
                break;
            case 2:  // another mode
                modes[step] = any_mode();
                break;
            default:  // other modes for two
                modes[step] = any_mode();
                modes[any_step(modes)] = any_mode();
        }
        return modes;
    }

  private:
    /// Standard distributions differ between libraries; this does not.
    std::size_t below(std::size_t bound) { return static_cast<std::size_t>(random_() % bound); }
    std::size_t any_step(const Modes& modes) { return 1 + below(modes.size() - 1); }
    int any_mode() { return static_cast<int>(below(table_.size())); }

    const ModeTable& table_;
    std::mt19937_64 random_;
};

/// Schedules that run a full step at intervals: never far off, and there even where no block was measured.
std::vector<Modes> regular(const ModeTable& table, std::size_t num_steps, double budget) {
    std::vector<Modes> result;
    for (std::size_t mode = 1; mode < table.size(); ++mode)
        for (std::size_t interval = 2; interval <= num_steps; ++interval) {
            Modes modes(num_steps, static_cast<int>(mode));
            for (std::size_t step = 0; step < num_steps; step += interval) modes[step] = 0;
            if (!within(table.cost(modes), budget)) continue;
            result.push_back(std::move(modes));
            break;
        }
    return result;
}

void tell(const OnProgress& progress, const Progress& where) {
    if (progress && !progress(where)) throw Error(ErrorKind::cancelled, "stopped while tuning");
}

}  // namespace

double ModeTable::cost(const Modes& modes) const {
    double least = kNever;
    for (const Costs& costs : ways(*this)) least = std::min(least, sum_of(modes, costs));
    return least;
}

void measure_blocks(Runner& runner, Record& record, const SearchOptions& options,
                    const OnProgress& progress) {
    const auto num_steps = static_cast<int>(runner.num_steps());
    const std::size_t pairs = std::min(options.model_pairs, runner.num_pairs());
    std::vector<Block> blocks;
    for (int begin = 0; begin < num_steps; ++begin)
        for (int mode = 1; mode < static_cast<int>(record.table.size()); ++mode)
            for (int long_ = 1; long_ <= static_cast<int>(options.most_in_a_row) && begin + long_ < num_steps;
                 ++long_)
                blocks.push_back({begin, mode, long_});
    for (std::size_t i = 0; i < blocks.size(); ++i) {
        const Block& block = blocks[i];
        if (record.blocks.contains(block)) continue;
        tell(progress, {Progress::Stage::blocks, i, blocks.size(), -1});
        Modes modes(runner.num_steps(), 0);
        std::fill_n(modes.begin() + block.begin + 1, block.length, block.mode);
        std::vector<std::vector<float>> deviations;
        for (std::size_t pair = 0; pair < pairs; ++pair) deviations.push_back(runner.deviation(pair, modes));
        record.blocks.emplace(block, std::move(deviations));
    }
}

std::vector<Modes> best_by_model(const Record& record, std::size_t num_steps, const SearchOptions& options) {
    const double budget = record.table.full_cost(num_steps) / options.speedup;
    std::vector<Partial> found;
    for (const Costs& costs : ways(record.table)) {
        auto more = Beam(record, num_steps, options, costs, budget).run();
        std::move(more.begin(), more.end(), std::back_inserter(found));
    }
    std::stable_sort(found.begin(), found.end(), [](const Partial& a, const Partial& b) {
        return std::tie(a.distance, a.modes) < std::tie(b.distance, b.modes);
    });
    std::vector<Modes> result;
    for (Partial& partial : found)
        if (result.size() < options.candidates &&
            std::find(result.begin(), result.end(), partial.modes) == result.end())
            result.push_back(std::move(partial.modes));
    return result;
}

double predicted_distance(const Record& record, const Modes& modes) {
    std::vector<std::vector<float>> sums;
    for (std::size_t step = 0; step < modes.size();) {
        if (modes[step] != 0) return -1;
        Block block{static_cast<int>(step), 0, 0};
        for (++step; step < modes.size() && modes[step] != 0; ++step, ++block.length) {
            if (block.mode != 0 && block.mode != modes[step]) return -1;
            block.mode = modes[step];
        }
        if (block.length == 0) continue;
        const auto measured = record.blocks.find(block);
        if (measured == record.blocks.end()) return -1;
        sums.resize(measured->second.size());
        for (std::size_t pair = 0; pair < sums.size(); ++pair) {
            const auto& deviation = measured->second[pair];
            sums[pair].resize(deviation.size(), 0);
            for (std::size_t i = 0; i < deviation.size(); ++i) sums[pair][i] += deviation[i];
        }
    }
    double sum = 0;
    for (const auto& vector : sums) sum += length(vector);
    return sums.empty() ? 0 : sum / static_cast<double>(sums.size());
}

Found search(Runner& runner, Record& record, const SearchOptions& options, const OnProgress& progress) {
    if (!(options.speedup >= 1))
        usage_error("a speedup of {} is asked for; expected at least 1", options.speedup);
    const std::size_t num_steps = runner.num_steps();
    const double budget = record.table.full_cost(num_steps) / options.speedup;
    measure_blocks(runner, record, options, progress);

    auto candidates = best_by_model(record, num_steps, options);
    const auto plain = regular(record.table, num_steps, budget);
    candidates.insert(candidates.end(), plain.begin(), plain.end());
    if (within(record.table.full_cost(num_steps), budget)) candidates.push_back(Modes(num_steps, 0));
    if (candidates.empty())
        usage_error(
            "no schedule is {:.2f} times as fast as the full one: the cheapest step takes {:.1f} % of a full "
            "one's "
            "time",
            options.speedup,
            100 * *std::min_element(record.table.seconds.begin(), record.table.seconds.end()) /
                record.table.seconds.front());
    Trials trials(runner, record, budget);
    for (std::size_t i = 0; i < candidates.size(); ++i) {
        tell(progress, {Progress::Stage::candidates, i, candidates.size(),
                        trials.best().empty() ? -1 : trials.distance()});
        trials.run(candidates[i]);
    }
    const double by_model = trials.distance();

    // Of changes by one move first; by more where those no longer help (variable neighbourhood search,
    // Mladenovic and Hansen 1997).
    constexpr std::size_t kPatience = 30, kMostMoves = 6;
    constexpr std::size_t kMostDraws = 500;  // of schedules that cost too much or were tried
    Neighbours neighbours(record.table, options.seed);
    std::size_t moves = 1, in_vain = 0;
    for (std::size_t i = 0; i < options.trials && num_steps > 1; ++i) {
        if (options.enough && options.enough()) break;
        std::optional<Modes> next;
        for (std::size_t draw = 0; draw < kMostDraws * kMostMoves && !next; ++draw) {
            if (draw > 0 && draw % kMostDraws == 0) moves = moves % kMostMoves + 1;
            Modes modes = trials.best();
            for (std::size_t move = 0; move < moves; ++move) modes = neighbours.of(std::move(modes));
            if (trials.is_new(modes) && trials.affordable(modes)) next = std::move(modes);
        }
        if (!next) break;
        tell(progress, {Progress::Stage::trials, i, options.trials, trials.distance()});
        if (trials.run(*next)) {
            moves = 1;
            in_vain = 0;
        } else if (++in_vain == kPatience) {
            moves = moves % kMostMoves + 1;
            in_vain = 0;
        }
    }
    return {trials.best(), trials.distance(), record.table.cost(trials.best()),
            predicted_distance(record, trials.best()), by_model};
}

}  // namespace reprise::tune
