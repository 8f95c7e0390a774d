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

/// By pair of prompt and seed, how far and whereto a result is moved.
using Deviations = std::vector<std::vector<float>>;

void add(std::vector<float>& sum, std::span<const float> more, float factor = 1) {
    sum.resize(more.size(), 0);
    for (std::size_t i = 0; i < more.size(); ++i) sum[i] += factor * more[i];
}

double mean_length(const Deviations& deviations) {
    double sum = 0;
    for (const auto& vector : deviations) sum += length(vector);
    return deviations.empty() ? 0 : sum / static_cast<double>(deviations.size());
}

/// What may come next in a schedule.
struct Part {
    Modes modes;
    Deviations moved = {};  ///< what it adds to the deviations; empty: nothing
    std::size_t changes = 0;
};
/// For each step what may begin there.
using Parts = std::vector<std::vector<Part>>;

/// A schedule's first steps, with what they move the result by.
struct Partial {
    Modes modes;
    double cost = 0;
    Deviations sums;
    double distance = 0;  ///< mean length of the sums
    std::size_t changes = 0;
};

/// Puts parts together to schedules within a budget and a number of changes.
class Beam {
  public:
    Beam(const Parts& parts, std::size_t width, std::size_t most_changes)
        : parts_(parts), width_(width), most_changes_(most_changes) {}

    std::vector<Partial> run(const Deviations& start, const Costs& costs, double budget) const {
        const std::size_t num_steps = parts_.size();
        std::vector<std::vector<Partial>> at(num_steps + 1);
        at[0].push_back({{}, 0, start, mean_length(start), 0});
        for (std::size_t step = 0; step < num_steps; ++step) {
            for (const Partial& partial : pruned(std::move(at[step]), budget))
                for (const Part& part : parts_[step]) {
                    const double cost = partial.cost + sum_of(part.modes, costs);
                    if (!within(cost, budget) || partial.changes + part.changes > most_changes_) continue;
                    Partial next = extended(partial, part);
                    next.cost = cost;
                    at[next.modes.size()].push_back(std::move(next));
                }
            at[step].clear();
        }
        return std::move(at[num_steps]);
    }

  private:
    static Partial extended(Partial partial, const Part& part) {
        partial.modes.insert(partial.modes.end(), part.modes.begin(), part.modes.end());
        partial.changes += part.changes;
        if (part.moved.empty()) return partial;
        for (std::size_t pair = 0; pair < partial.sums.size(); ++pair)
            add(partial.sums[pair], part.moved[pair]);
        partial.distance = mean_length(partial.sums);
        return partial;
    }

    /// The best for each hundredth of the cost.
    std::vector<Partial> pruned(std::vector<Partial> partials, double budget) const {
        std::stable_sort(partials.begin(), partials.end(),
                         [](const Partial& a, const Partial& b) { return a.distance < b.distance; });
        std::map<int, std::size_t> kept;
        std::vector<Partial> result;
        for (Partial& partial : partials)
            if (kept[static_cast<int>(100 * partial.cost / budget)]++ < width_)
                result.push_back(std::move(partial));
        return result;
    }

    const Parts& parts_;
    std::size_t width_, most_changes_;
};

/// All schedules that a beam finds, in each way of running guidance, nearest first.
std::vector<Partial> found_by(const Beam& beam, const Deviations& start, const ModeTable& table,
                              double budget) {
    std::vector<Partial> found;
    for (const Costs& costs : ways(table)) {
        auto more = beam.run(start, costs, budget);
        std::move(more.begin(), more.end(), std::back_inserter(found));
    }
    std::stable_sort(found.begin(), found.end(), [](const Partial& a, const Partial& b) {
        return std::tie(a.distance, a.modes) < std::tie(b.distance, b.modes);
    });
    found.erase(std::unique(found.begin(), found.end(),
                            [](const Partial& a, const Partial& b) { return a.modes == b.modes; }),
                found.end());
    return found;
}

/// The deviations of a schedule for so many pairs; measures what the record lacks.
Deviations measured(Runner& runner, Record& record, const Modes& modes, std::size_t pairs) {
    const auto known = record.deviations.find(modes);
    for (std::size_t pair = known == record.deviations.end() ? 0 : known->second.size(); pair < pairs;
         ++pair) {
        auto deviation = runner.deviation(pair, modes);  // may throw to stop: then nothing is noted
        record.deviations[modes].push_back(std::move(deviation));
    }
    Deviations result = record.deviations[modes];
    result.resize(pairs);
    return result;
}

bool is_known(const Record& record, const Modes& modes, std::size_t pairs) {
    const auto known = record.deviations.find(modes);
    return known != record.deviations.end() && known->second.size() >= pairs;
}

/// One full step and steps of one mode after it.
struct Block {
    std::size_t begin = 0;
    int mode = 0;
    std::size_t length = 0;  ///< steps from `begin` + 1 on

    /// The full schedule but for them.
    Modes in(std::size_t num_steps) const {
        Modes modes(num_steps, 0);
        std::fill_n(modes.begin() + static_cast<std::ptrdiff_t>(begin) + 1, length, mode);
        return modes;
    }
};

/// All blocks that are measured.
std::vector<Block> blocks_of(const ModeTable& table, std::size_t num_steps, std::size_t most_in_a_row) {
    std::vector<Block> blocks;
    for (std::size_t begin = 0; begin < num_steps; ++begin)
        for (int mode = 1; mode < static_cast<int>(table.size()); ++mode)
            for (std::size_t length = 1; length <= most_in_a_row && begin + length < num_steps; ++length)
                blocks.push_back({begin, mode, length});
    return blocks;
}

/// The schedules that differ from another in one step.
std::vector<Modes> single_changes(const Modes& base, std::size_t num_modes) {
    std::vector<Modes> result;
    for (std::size_t step = 1; step < base.size(); ++step)
        for (int mode = 0; mode < static_cast<int>(num_modes); ++mode) {
            if (mode == base[step]) continue;
            result.push_back(base);
            result.back()[step] = mode;
        }
    return result;
}

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

}  // namespace

double ModeTable::cost(const Modes& modes) const {
    double least = kNever;
    for (const Costs& costs : ways(*this)) least = std::min(least, sum_of(modes, costs));
    return least;
}

double most_speedup(const ModeTable& table, std::size_t num_steps) {
    double least = kNever;
    for (const Costs& costs : ways(table)) {
        const auto cheapest = std::min_element(costs.begin(), costs.end());
        least = std::min(least, costs.front() + static_cast<double>(num_steps - 1) * *cheapest);
    }
    return table.full_cost(num_steps) / least;
}

void check_speedup(const ModeTable& table, std::size_t num_steps, double speedup) {
    const double most = most_speedup(table, num_steps);
    if (!within(speedup, most))
        usage_error(
            "no schedule is {:.2f} times as fast as the full one; the fastest, whose steps but the "
            "first are all in the cheapest mode, is {:.2f}",
            speedup, most);
}

void measure_blocks(Runner& runner, Record& record, const SearchOptions& options,
                    const OnProgress& progress) {
    const std::size_t num_steps = runner.num_steps();
    const std::size_t pairs = std::min(options.block_pairs, runner.num_pairs());
    const auto blocks = blocks_of(record.table, num_steps, options.most_in_a_row);
    for (std::size_t i = 0; i < blocks.size(); ++i) {
        const Modes modes = blocks[i].in(num_steps);
        if (is_known(record, modes, pairs)) continue;
        tell(progress, {Progress::Stage::blocks, i, blocks.size(), -1});
        measured(runner, record, modes, pairs);
    }
}

std::vector<Modes> best_by_model(const Record& record, std::size_t num_steps, const SearchOptions& options) {
    Parts parts(num_steps);
    std::size_t pairs = 1;
    for (auto& part : parts) part.push_back({{0}});
    for (const Block& block : blocks_of(record.table, num_steps, options.most_in_a_row)) {
        const auto known = record.deviations.find(block.in(num_steps));
        if (known == record.deviations.end()) continue;
        Part part{Modes(block.length + 1, block.mode), known->second};
        part.modes.front() = 0;
        part.moved.resize(std::min(part.moved.size(), options.block_pairs));
        pairs = part.moved.size();
        parts[block.begin].push_back(std::move(part));
    }
    const double budget = record.table.full_cost(num_steps) / options.speedup;
    const Beam beam(parts, options.beam, 0);
    std::vector<Modes> result;
    for (Partial& partial : found_by(beam, Deviations(pairs), record.table, budget))
        if (result.size() < options.candidates) result.push_back(std::move(partial.modes));
    return result;
}

double predicted_distance(const Record& record, const Modes& modes) {
    Deviations sums;
    for (std::size_t step = 0; step < modes.size();) {
        if (modes[step] != 0) return -1;
        const std::size_t begin = step++;
        while (step < modes.size() && modes[step] != 0) {
            if (modes[step] != modes[begin + 1]) return -1;
            ++step;
        }
        if (step == begin + 1) continue;
        const Block block = {begin, modes[begin + 1], step - begin - 1};
        const auto known = record.deviations.find(block.in(modes.size()));
        if (known == record.deviations.end()) return -1;
        // some blocks were measured on more pairs than others, as changes of a schedule
        if (sums.empty()) sums.resize(known->second.size());
        sums.resize(std::min(sums.size(), known->second.size()));
        for (std::size_t pair = 0; pair < sums.size(); ++pair) add(sums[pair], known->second[pair]);
    }
    return mean_length(sums);
}

std::vector<Modes> best_changes(Runner& runner, Record& record, const Modes& base, std::size_t most_changes,
                                const SearchOptions& options, const OnProgress& progress) {
    const std::size_t pairs = std::min(options.change_pairs, runner.num_pairs());
    const Deviations start = measured(runner, record, base, pairs);
    const auto changes = single_changes(base, record.table.size());
    Parts parts(base.size());
    for (std::size_t step = 0; step < base.size(); ++step) parts[step].push_back({{base[step]}});
    for (std::size_t i = 0; i < changes.size(); ++i) {
        if (!is_known(record, changes[i], pairs)) {
            if (options.enough && options.enough()) return {};
            tell(progress, {Progress::Stage::changes, i, changes.size(), -1});
        }
        Deviations moved = measured(runner, record, changes[i], pairs);
        for (std::size_t pair = 0; pair < pairs; ++pair) add(moved[pair], start[pair], -1);
        const auto step = static_cast<std::size_t>(
            std::mismatch(base.begin(), base.end(), changes[i].begin()).first - base.begin());
        parts[step].push_back({{changes[i][step]}, std::move(moved), 1});
    }
    const double budget = record.table.full_cost(base.size()) / options.speedup;
    const Beam beam(parts, options.beam, most_changes);
    const double now = mean_length(start);
    std::vector<Modes> result;
    for (Partial& partial : found_by(beam, start, record.table, budget))
        if (partial.distance < now) result.push_back(std::move(partial.modes));
    return result;
}

namespace {

/// Makes the best schedule better by real runs, as many as the options allow.
class LocalSearch {
  public:
    LocalSearch(Runner& runner, Record& record, Trials& trials, const SearchOptions& options,
                const OnProgress& progress)
        : runner_(runner), record_(record), trials_(trials), options_(options), progress_(progress) {}

    /// Around the best, what each change of one step moves the result by is measured, and those sums of a
    /// few changes that should be nearest are run; again around what is better then, and with fewer changes
    /// at once where none is.
    void by_changes() {
        constexpr std::size_t kMostChanges = 6, kRuns = 8;
        Modes base;
        for (std::size_t most = kMostChanges; most > 0 && !done();) {
            if (trials_.best() != base) {
                base = trials_.best();
                const std::size_t changes = (base.size() - 1) * (record_.table.size() - 1);
                if (used_ + changes + kRuns > options_.trials) return;
                used_ += changes;
            }
            std::size_t runs = 0;
            for (const Modes& modes : best_changes(runner_, record_, base, most, options_,
                                                   [&](const Progress& where) { return changing(where); })) {
                if (!trials_.is_new(modes) || !trials_.affordable(modes)) continue;
                if (runs++ == kRuns || done()) break;
                run(modes);
            }
            if (trials_.best() == base) most /= 2;
        }
    }

    /// Changes by chance, of one move first; of more where those no longer help (variable neighbourhood
    /// search, Mladenovic and Hansen 1997).
    void by_chance() {
        constexpr std::size_t kPatience = 30, kMostMoves = 6;
        constexpr std::size_t kMostDraws = 500;  // of schedules that cost too much or were tried
        Neighbours neighbours(record_.table, options_.seed);
        std::size_t moves = 1, in_vain = 0;
        while (!done() && trials_.best().size() > 1) {
            std::optional<Modes> next;
            for (std::size_t draw = 0; draw < kMostDraws * kMostMoves && !next; ++draw) {
                if (draw > 0 && draw % kMostDraws == 0) moves = moves % kMostMoves + 1;
                Modes modes = trials_.best();
                for (std::size_t move = 0; move < moves; ++move) modes = neighbours.of(std::move(modes));
                if (trials_.is_new(modes) && trials_.affordable(modes)) next = std::move(modes);
            }
            if (!next) break;
            if (run(*next)) {
                moves = 1;
                in_vain = 0;
            } else if (++in_vain == kPatience) {
                moves = moves % kMostMoves + 1;
                in_vain = 0;
            }
        }
    }

  private:
    bool done() const {
        const bool equal = trials_.distance() <= 0;
        return equal || used_ >= options_.trials || (options_.enough && options_.enough());
    }
    bool run(const Modes& modes) {
        tell(progress_, {Progress::Stage::trials, used_++, options_.trials, trials_.distance()});
        return trials_.run(modes);
    }
    bool changing(Progress where) const {
        where.best = trials_.distance();
        return !progress_ || progress_(where);
    }

    Runner& runner_;
    Record& record_;
    Trials& trials_;
    const SearchOptions& options_;
    const OnProgress& progress_;
    std::size_t used_ = 0;  ///< schedules that were run
};

}  // namespace

Found search(Runner& runner, Record& record, const SearchOptions& options, const OnProgress& progress) {
    if (!(options.speedup >= 1))
        usage_error("a speedup of {} is asked for; expected at least 1", options.speedup);
    const std::size_t num_steps = runner.num_steps();
    const double budget = record.table.full_cost(num_steps) / options.speedup;
    check_speedup(record.table, num_steps, options.speedup);
    measure_blocks(runner, record, options, progress);

    auto candidates = best_by_model(record, num_steps, options);
    const auto plain = regular(record.table, num_steps, budget);
    candidates.insert(candidates.end(), plain.begin(), plain.end());
    if (within(record.table.full_cost(num_steps), budget)) candidates.push_back(Modes(num_steps, 0));
    Trials trials(runner, record, budget);
    for (std::size_t i = 0; i < candidates.size(); ++i) {
        tell(progress, {Progress::Stage::candidates, i, candidates.size(),
                        trials.best().empty() ? -1 : trials.distance()});
        trials.run(candidates[i]);
    }
    const double by_model = trials.distance();

    LocalSearch local(runner, record, trials, options, progress);
    local.by_changes();
    local.by_chance();
    return {trials.best(), trials.distance(), record.table.cost(trials.best()),
            predicted_distance(record, trials.best()), by_model};
}

}  // namespace reprise::tune
