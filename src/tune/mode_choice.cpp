#include "tune/mode_choice.h"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace reprise::tune {

namespace {

/// A mode that saves less than this share of a full step is left out.
constexpr double kLeastSaving = 0.15;

double lower_quartile(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values.at(values.size() / 4);
}

}  // namespace

std::vector<cachify::Config> configs_of(const std::vector<Rung>& ladder) {
    std::vector<cachify::Config> result;
    for (const Rung& rung : ladder) result.push_back(rung.config);
    return result;
}

/// Which store rules suit the model: the nearest to the full result where every second step and where two
/// of three are reused.
cachify::Store ModeChoice::nearest(const std::vector<cachify::Store>& stores,
                                   const std::function<Rung(const cachify::Store&)>& rung) {
    if (!subject_.is_small()) return stores.front();
    cachify::Store best = stores.front();
    double least = -1;
    for (const auto& store : stores) {
        const Rung tried = rung(store);
        say_(fmt::format("try {} kept as {}", tried.name, to_string(store)));
        subject_.use({{}, tried.config}, way(tried), setting_.trial_pairs);
        const double distance = at_intervals(1);
        spdlog::debug("{} kept as {}: distance {:.4f}", tried.name, to_string(store), distance);
        if (least < 0 || distance < least) {
            least = distance;
            best = store;
        }
    }
    return best;
}

/// The mean distance of two schedules that run every second step in a mode, and two of three.
double ModeChoice::at_intervals(int mode) const {
    double sum = 0;
    for (const std::size_t interval : {2U, 3U}) {
        Modes modes(subject_.num_steps(), mode);
        for (std::size_t step = 0; step < modes.size(); ++step)
            if (step < 2 || step % interval == 0) modes[step] = 0;
        for (std::size_t pair = 0; pair < setting_.trial_pairs; ++pair) sum += subject_.distance(pair, modes);
    }
    return sum / static_cast<double>(2 * setting_.trial_pairs);
}

/// How a rung is run where it is measured.
GuidanceMode ModeChoice::way(const Rung& rung) const {
    if (!subject_.has_guidance()) return GuidanceMode::batched;
    return rung.two_passes || !subject_.is_small() || !subject_.may_batch() ? GuidanceMode::split
                                                                            : GuidanceMode::batched;
}
Choices ModeChoice::choose() {
    Choices choices{path_stores(setting_.context).front(), whole_stores().front(), guidance_stores().front()};
    const auto best = [&](cachify::Store Choices::*part, const std::vector<cachify::Store>& stores,
                          std::string_view name) {
        choices.*part = nearest(stores, [&](const cachify::Store& store) {
            Choices with = choices;
            with.*part = store;
            const auto ladder = make_ladder(setting_.context, with, subject_.has_guidance());
            return *std::find_if(ladder.begin(), ladder.end(),
                                 [&](const Rung& rung) { return rung.name.starts_with(name); });
        });
    };
    best(&Choices::path, path_stores(setting_.context), "path");
    best(&Choices::whole, whole_stores(), "whole");
    if (subject_.has_guidance()) best(&Choices::guidance, guidance_stores(), "half");
    choices.order = order_of_blocks(choices.path);
    return choices;
}

/// A small transformer's blocks, from the one whose reuse alone moves the result least.
std::vector<int> ModeChoice::order_of_blocks(const cachify::Store& store) {
    const std::vector<Rung> rungs = single_blocks(setting_.context, store);
    if (rungs.empty() || !subject_.is_small()) return {};
    std::vector<cachify::Config> modes = {{}};
    for (const Rung& rung : rungs) modes.push_back(rung.config);
    subject_.use(modes, way(rungs.front()), setting_.trial_pairs);
    std::vector<std::pair<double, int>> moved;
    for (std::size_t block = 0; block < rungs.size(); ++block) {
        say_(fmt::format("try {}", rungs[block].name));
        moved.emplace_back(at_intervals(static_cast<int>(block) + 1), static_cast<int>(block));
        spdlog::debug("{}: distance {:.4f}", rungs[block].name, moved.back().first);
    }
    std::sort(moved.begin(), moved.end());
    std::vector<int> order;
    for (const auto& [distance, block] : moved) order.push_back(block);
    return order;
}

/// What a step of each rung takes, next to a full step of the same compiled pieces; the full step of all.
/// Of small models each rung is compiled by itself, as a configuration with few modes is.
std::vector<double> ModeChoice::seconds(const std::vector<Rung>& ladder, GuidanceMode guidance) {
    constexpr int kPasses = 4;
    std::vector<double> full;
    std::vector<std::vector<double>> mine(ladder.size()), own_full(ladder.size());
    if (!subject_.is_small()) subject_.use(configs_of(ladder), guidance, 1);
    for (std::size_t rung = 1; rung < ladder.size(); ++rung) {
        if (guidance == GuidanceMode::batched && ladder[rung].two_passes) continue;
        say_(fmt::format("time {}", ladder[rung].name));
        if (subject_.is_small()) subject_.use({{}, ladder[rung].config}, guidance, 1);
        const int mode = subject_.is_small() ? 1 : static_cast<int>(rung);
        std::vector<double> warm_full, warm;
        subject_.seconds(mode, warm_full, warm);
        for (int pass = 0; pass < kPasses; ++pass) subject_.seconds(mode, own_full[rung], mine[rung]);
        full.insert(full.end(), own_full[rung].begin(), own_full[rung].end());
    }
    const double all = lower_quartile(full);
    std::vector<double> result = {all};
    for (std::size_t rung = 1; rung < ladder.size(); ++rung)
        result.push_back(
            mine[rung].empty() ? -1 : all * lower_quartile(mine[rung]) / lower_quartile(own_full[rung]));
    return result;
}

ModeTable ModeChoice::table(std::vector<Rung> ladder) {
    ModeTable table;
    table.seconds = seconds(ladder, subject_.has_guidance() ? GuidanceMode::split : GuidanceMode::batched);
    if (subject_.has_guidance() && subject_.is_small() && subject_.may_batch())
        table.batched_seconds = seconds(ladder, GuidanceMode::batched);
    for (const Rung& rung : ladder) table.names.push_back(rung.name);
    drop_poor(table, std::move(ladder));
    return table;
}

/// Leaves out modes that save little, and those that another beats in cost and in distance from the full
/// result where every second step and where two of three are reused.
void ModeChoice::drop_poor(ModeTable& table, std::vector<Rung> ladder) {
    const auto cost = [&](std::size_t rung) { return table.cost({static_cast<int>(rung)}); };
    const auto drop = [&](std::size_t rung) {
        const auto at = static_cast<std::ptrdiff_t>(rung);
        spdlog::debug("{} is left out", table.names[rung]);
        ladder.erase(ladder.begin() + at);
        table.names.erase(table.names.begin() + at);
        table.seconds.erase(table.seconds.begin() + at);
        if (!table.batched_seconds.empty()) table.batched_seconds.erase(table.batched_seconds.begin() + at);
    };
    for (std::size_t rung = table.size(); rung-- > 1;)
        if (cost(rung) > (1 - kLeastSaving) * table.full_cost(1)) drop(rung);

    subject_.use(configs_of(ladder), subject_.has_guidance() ? GuidanceMode::split : GuidanceMode::batched,
                 setting_.trial_pairs);
    std::vector<double> distances = {0};
    for (std::size_t rung = 1; rung < ladder.size(); ++rung) {
        say_(fmt::format("try {}", ladder[rung].name));
        distances.push_back(at_intervals(static_cast<int>(rung)));
        spdlog::debug("{}: {:.1f} % of the time, distance {:.4f}", ladder[rung].name,
                      100 * cost(rung) / table.full_cost(1), distances.back());
    }
    for (std::size_t rung = table.size(); rung-- > 1;)
        for (std::size_t other = 1; other < table.size(); ++other)
            if (other != rung && cost(other) <= cost(rung) && distances[other] < distances[rung]) {
                drop(rung);
                distances.erase(distances.begin() + static_cast<std::ptrdiff_t>(rung));
                break;
            }
}

}  // namespace reprise::tune
