#include "tune/state.h"

#include <fmt/ranges.h>

#include <cmath>

#include "cachify/profile_json.h"
#include "io/json.h"
#include "reprise/error.h"

namespace reprise::tune {

namespace {

constexpr int kVersion = 1;

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
        state.ladder = require<std::string>(json, "ladder", origin_);
        state.record.table.names = require<std::vector<std::string>>(json, "modes", origin_);
        state.record.table.seconds = finite<double>(json, "seconds");
        state.record.table.batched_seconds = finite<double>(json, "batched_seconds");
        const std::size_t modes = state.record.table.size();
        if (modes == 0 || state.record.table.seconds.size() != modes ||
            (!state.record.table.batched_seconds.empty() &&
             state.record.table.batched_seconds.size() != modes))
            usage_error("{}: {} modes with {} and {} costs; expected as many", origin_, modes,
                        state.record.table.seconds.size(), state.record.table.batched_seconds.size());
        for (const Json& block : cachify::list_from_json(json, "blocks", origin_)) read_block(block, state);
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
    void read_block(const Json& json, State& state) const {
        const auto place = require<std::vector<int>>(json, "block", origin_);
        if (place.size() != 3 || place[0] < 0 || place[1] < 1 || place[2] < 1 ||
            place[1] >= static_cast<int>(state.record.table.size()) ||
            place[0] + place[2] >= state.run.num_inference_steps)
            usage_error("{}: a block of {}; expected begin, mode and length within the run", origin_,
                        numbers(place));
        auto& deviations = state.record.blocks[{place[0], place[1], place[2]}];
        for (const Json& one : cachify::list_from_json(json, "deviations", origin_)) {
            std::vector<float>& deviation = deviations.emplace_back();
            for (const Json& value : one) {
                if (!value.is_number()) usage_error("{}: a deviation is no number", origin_);
                deviation.push_back(value.get<float>());
            }
        }
        const auto& first = state.record.blocks.begin()->second;
        if (deviations.empty() || deviations.size() != first.size() ||
            deviations.front().size() != first.front().size())
            usage_error("{}: blocks with deviations of different sizes", origin_);
    }

    std::string origin_;
};

}  // namespace

std::string to_json(const State& state) {
    const Record& record = state.record;
    std::string blocks, distances;
    for (const auto& [block, deviations] : record.blocks) {
        std::string list;
        for (const auto& deviation : deviations) list += (list.empty() ? "" : ",") + numbers(deviation);
        blocks += fmt::format("{}\n    {{\"block\": [{}, {}, {}], \"deviations\": [{}]}}",
                              blocks.empty() ? "" : ",", block.begin, block.mode, block.length, list);
    }
    for (const auto& [modes, by_pair] : record.distances)
        distances += fmt::format("{}\n    {{\"modes\": {}, \"by_pair\": {}}}", distances.empty() ? "" : ",",
                                 numbers(modes), numbers(by_pair));
    return fmt::format(
        "{{\n  \"reprise_tuning\": {},\n  \"model\": {},\n  \"run\": {},\n  \"ladder\": {},\n  \"modes\": "
        "{},\n"
        "  \"seconds\": {},\n  \"batched_seconds\": {},\n  \"blocks\": [{}\n  ],\n  \"distances\": [{}\n  "
        "]\n}}\n",
        kVersion, cachify::to_json_text(state.model), cachify::to_json_text(state.run),
        Json(state.ladder).dump(), Json(record.table.names).dump(), numbers(record.table.seconds),
        numbers(record.table.batched_seconds), blocks, distances);
}

State parse_state(std::string_view json, std::string_view origin) {
    return Reader(origin).read(json);
}

}  // namespace reprise::tune
