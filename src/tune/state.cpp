#include "tune/state.h"

#include <fmt/ranges.h>

#include <cmath>

#include "cachify/profile_json.h"
#include "files/json.h"
#include "reprise/error.h"

namespace reprise::tune {

namespace {

constexpr int kVersion = 2;

/// The shortest text that is read back as the same number.
template <class T>
std::string numbers(const std::vector<T>& values) {
    return fmt::format("[{}]", fmt::join(values, ","));
}

class Reader {
  public:
    explicit Reader(std::string_view origin) : origin_(origin) {}

    State read(std::string_view text) const {
        const Json json = parse_json(text, origin_);
        const int version = require<int>(json, "reprise_tuning", origin_);
        if (version != kVersion)
            usage_error("{}: a state of version {}; expected {}", origin_, version, kVersion);
        State state;
        state.model = cachify::identity_from_json(member(json, "model"), origin_);
        state.run = cachify::run_from_json(member(json, "run"), origin_);
        state.others = require<std::string>(json, "others", origin_);
        state.ladder = require<std::string>(json, "ladder", origin_);
        state.record.table.names = require<std::vector<std::string>>(json, "modes", origin_);
        state.record.table.seconds = finite<double>(json, "seconds");
        state.record.table.batched_seconds = finite<double>(json, "batched_seconds");
        const std::size_t modes = state.record.table.size();
        if (state.record.table.seconds.size() != modes ||
            (!state.record.table.batched_seconds.empty() &&
             state.record.table.batched_seconds.size() != modes))
            usage_error("{}: {} modes with {} and {} costs; expected as many", origin_, modes,
                        state.record.table.seconds.size(), state.record.table.batched_seconds.size());
        for (const double seconds : state.record.table.seconds)
            if (!(seconds > 0)) usage_error("{}: a mode takes {} s; expected more", origin_, seconds);
        for (const Json& run : cachify::list_from_json(json, "deviations", origin_))
            read_deviations(run, state);
        for (const Json& run : cachify::list_from_json(json, "distances", origin_)) {
            const auto schedule = require<std::vector<int>>(run, "modes", origin_);
            check_modes(schedule, state);
            state.record.distances[schedule] = finite<double>(run, "by_pair");
        }
        return state;
    }

  private:
    Json member(const Json& json, const char* key) const {
        if (!json.contains(key) || !json[key].is_object()) usage_error("{}: '{}' is no object", origin_, key);
        return json[key];
    }
    template <class T>
    std::vector<T> finite(const Json& json, const char* key) const {
        auto values = require<std::vector<T>>(json, key, origin_);
        for (const T value : values)
            if (!std::isfinite(value))
                usage_error("{}: {} has {}; expected finite numbers", origin_, key, value);
        return values;
    }
    void check_modes(const Modes& modes, const State& state) const {
        for (const int mode : modes)
            if (mode < 0 || mode >= static_cast<int>(state.record.table.size()))
                usage_error("{}: mode {}; expected 0 to {}", origin_, mode, state.record.table.size() - 1);
        if (modes.size() != static_cast<std::size_t>(state.run.num_inference_steps))
            usage_error("{}: a schedule of {} steps; expected {}", origin_, modes.size(),
                        state.run.num_inference_steps);
    }
    void read_deviations(const Json& json, State& state) const {
        const auto schedule = require<std::vector<int>>(json, "modes", origin_);
        check_modes(schedule, state);
        const auto list = cachify::list_from_json(json, "by_pair", origin_);
        if (list.empty()) return;
        auto& deviations = state.record.deviations[schedule];
        for (const Json& one : list) {
            std::vector<float>& deviation = deviations.emplace_back();
            for (const Json& value : one) {
                const double number = value.is_number() ? value.get<double>() : HUGE_VAL;
                if (!(std::abs(number) <= kFarthest))
                    usage_error("{}: a deviation is no number of at most {}", origin_, kFarthest);
                deviation.push_back(static_cast<float>(number));
            }
            const auto& first = state.record.deviations.begin()->second;
            if (first.empty() || deviation.size() != first.front().size())
                usage_error("{}: deviations of different sizes", origin_);
        }
    }

    std::string origin_;
};

}  // namespace

std::string to_json(const State& state) {
    const Record& record = state.record;
    std::string deviations, distances;
    for (const auto& [modes, by_pair] : record.deviations) {
        std::vector<std::string> vectors;
        for (const auto& deviation : by_pair) vectors.push_back(numbers(deviation));
        deviations += fmt::format("{}\n    {{\"modes\": {}, \"by_pair\": {}}}", deviations.empty() ? "" : ",",
                                  numbers(modes), numbers(vectors));
    }
    for (const auto& [modes, by_pair] : record.distances)
        distances += fmt::format("{}\n    {{\"modes\": {}, \"by_pair\": {}}}", distances.empty() ? "" : ",",
                                 numbers(modes), numbers(by_pair));
    return fmt::format(
        "{{\n  \"reprise_tuning\": {},\n  \"model\": {},\n  \"run\": {},\n  \"others\": {},\n  \"ladder\": "
        "{},\n  \"modes\": "
        "{},\n"
        "  \"seconds\": {},\n  \"batched_seconds\": {},\n  \"deviations\": [{}\n  ],\n  \"distances\": [{}\n "
        " "
        "]\n}}\n",
        kVersion, cachify::to_json_text(state.model), cachify::to_json_text(state.run),
        Json(state.others).dump(), Json(state.ladder).dump(), Json(record.table.names).dump(),
        numbers(record.table.seconds), numbers(record.table.batched_seconds), deviations, distances);
}

State parse_state(std::string_view json, std::string_view origin) {
    return Reader(origin).read(json);
}

}  // namespace reprise::tune
