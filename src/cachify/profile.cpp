#include "reprise/profile.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "cachify/profile_json.h"
#include "files/json.h"
#include "reprise/error.h"

namespace reprise::cachify {

namespace {

constexpr int kVersion = 1;

/// Six digits say all that was measured.
Json number(double value) {
    if (!std::isfinite(value))
        usage_error("a measured figure is {}: what the model gives are no numbers", value);
    return Json::parse(fmt::format("{:.6g}", value));
}

Json numbers(const std::vector<double>& values) {
    Json result = Json::array();
    for (const double value : values) result.push_back(number(value));
    return result;
}

/// Reads one profile; every error names the file.
class Reader {
  public:
    explicit Reader(std::string_view origin) : origin_(origin) {}

    Profile read(std::string_view text) {
        const Json json = parse_json(text, origin_);
        const int version = require<int>(json, "reprise_profile", origin_);
        if (version != kVersion)
            usage_error("{}: a profile of version {}; expected {}", origin_, version, kVersion);
        Profile profile;
        profile.model = identity_from_json(object(json, "model"), origin_);
        profile.run = run_from_json(object(json, "run"), origin_);
        steps_ = static_cast<std::size_t>(profile.run.num_inference_steps);
        for (const Json& module : list_from_json(json, "modules", origin_))
            profile.modules.push_back(this->module(module));
        profile.block_ratios = per_step(json, "block_ratios");
        profile.denoiser_ratios = per_step(json, "denoiser_ratios");
        profile.input_changes = values(json, "input_changes");
        profile.output_changes = values(json, "output_changes");
        if (profile.input_changes.size() != profile.output_changes.size())
            usage_error("{}: {} input_changes and {} output_changes; expected as many", origin_,
                        profile.input_changes.size(), profile.output_changes.size());
        profile.polynomial = values(json, "polynomial");
        profile.polynomial_error = require<double>(json, "polynomial_error", origin_);
        return profile;
    }

  private:
    const Json& object(const Json& json, const char* key) const {
        if (!json.is_object() || !json.contains(key) || !json[key].is_object())
            usage_error("{}: '{}' is missing or no object; expected a profile that reprise calibrate wrote",
                        origin_, key);
        return json[key];
    }
    Profile::Module module(const Json& json) const {
        return {require<std::string>(json, "name", origin_),
                module_kind(require<std::string>(json, "kind", origin_)),
                require<bool>(json, "residual", origin_), per_step(json, "change")};
    }
    std::vector<double> values(const Json& json, const char* key) const {
        auto result = require<std::vector<double>>(json, key, origin_);
        for (const double value : result)
            if (!std::isfinite(value))
                usage_error("{}: {} has {}; expected finite numbers", origin_, key, value);
        return result;
    }
    std::vector<double> per_step(const Json& json, const char* key) const {
        auto result = values(json, key);
        if (result.size() != steps_)
            usage_error("{}: {} has {} numbers; expected one for each of {} steps", origin_, key,
                        result.size(), steps_);
        for (const double value : result)
            if (value < 0) usage_error("{}: {} has {}; expected no negative number", origin_, key, value);
        return result;
    }

    std::string origin_;
    std::size_t steps_ = 0;
};

}  // namespace

std::string to_json(const Config& config, const Evidence& evidence) {
    Json figures = Json::object();
    for (const auto& [name, value] : evidence.figures) figures[name] = number(value);
    return fmt::format(
        "{{\n\"entries\": {},\n\"evidence\": {{\n  \"model\": {},\n  \"run\": {},\n  \"figures\": {},\n"
        "  \"notes\": {}\n}}\n}}\n",
        to_json(config), to_json_text(evidence.model), to_json_text(evidence.run), text_of(figures),
        text_of(evidence.notes));
}

Evidence parse_evidence(std::string_view json, std::string_view origin) {
    const Json whole = parse_json(json, origin);
    for (const char* key : {"model", "run", "figures", "notes"})
        if (!whole.is_object() || !whole.contains("evidence") || !whole["evidence"].is_object() ||
            !whole["evidence"].contains(key) || !whole["evidence"][key].is_object())
            usage_error("{}: its evidence has no '{}'; expected what reprise tune wrote", origin, key);
    const Json& found = whole["evidence"];
    Evidence evidence{
        identity_from_json(found["model"], origin), run_from_json(found["run"], origin), {}, {}};
    for (const auto& [name, value] : found["figures"].items())
        evidence.figures[name] = require<double>(found["figures"], name, origin);
    for (const auto& [name, value] : found["notes"].items())
        evidence.notes[name] = require<std::string>(found["notes"], name, origin);
    return evidence;
}

std::string to_json(const Profile& profile) {
    // A line for each part and module, so that people can read it.
    std::string modules;
    for (const Profile::Module& module : profile.modules)
        modules += fmt::format("{}\n    {}", modules.empty() ? "" : ",",
                               text_of({{"name", module.name},
                                        {"kind", name_of(module.kind)},
                                        {"residual", module.residual},
                                        {"change", numbers(module.change)}}));
    return fmt::format(
        "{{\n  \"reprise_profile\": {},\n  \"model\": {},\n  \"run\": {},\n  \"modules\": [{}\n  ],\n"
        "  \"block_ratios\": {},\n  \"denoiser_ratios\": {},\n  \"input_changes\": {},\n"
        "  \"output_changes\": {},\n  \"polynomial\": {},\n  \"polynomial_error\": {}\n}}\n",
        kVersion, to_json_text(profile.model), to_json_text(profile.run), modules,
        text_of(numbers(profile.block_ratios)), text_of(numbers(profile.denoiser_ratios)),
        text_of(numbers(profile.input_changes)), text_of(numbers(profile.output_changes)),
        text_of(numbers(profile.polynomial)), text_of(number(profile.polynomial_error)));
}

Profile parse_profile(std::string_view json, std::string_view origin) {
    return Reader(origin).read(json);
}

Profile load_profile(const std::filesystem::path& path) {
    return parse_profile(read_text_file(path), path.string());
}

std::vector<double> fit_polynomial(const std::vector<double>& inputs, const std::vector<double>& outputs,
                                   int degree) {
    if (inputs.empty() || inputs.size() != outputs.size())
        failure("a polynomial is to be fitted to {} inputs and {} outputs", inputs.size(), outputs.size());
    const auto distinct = std::set<double>(inputs.begin(), inputs.end()).size();
    const auto columns = std::min(distinct, static_cast<std::size_t>(degree) + 1);
    const auto [low, high] = std::minmax_element(inputs.begin(), inputs.end());
    const double middle = (*low + *high) / 2;
    const double half = *high > *low ? (*high - *low) / 2 : 1;

    // Each power of the scaled input, made orthogonal to those before (Gram-Schmidt, twice), with its
    // coefficients in powers of the scaled input.
    std::vector<std::vector<double>> basis;
    std::vector<std::vector<double>> powers;
    std::vector<double> rest = outputs;
    std::vector<double> scaled(columns, 0);
    for (std::size_t c = 0; c < columns; ++c) {
        std::vector<double> column(inputs.size());
        for (std::size_t i = 0; i < inputs.size(); ++i)
            column[i] = std::pow((inputs[i] - middle) / half, static_cast<double>(c));
        std::vector<double> in_powers(columns, 0);
        in_powers[c] = 1;
        const auto dot = [](const std::vector<double>& a, const std::vector<double>& b) {
            double sum = 0;
            for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
            return sum;
        };
        for (int pass = 0; pass < 2; ++pass)
            for (std::size_t k = 0; k < basis.size(); ++k) {
                const double share = dot(column, basis[k]) / dot(basis[k], basis[k]);
                for (std::size_t i = 0; i < column.size(); ++i) column[i] -= share * basis[k][i];
                for (std::size_t p = 0; p < columns; ++p) in_powers[p] -= share * powers[k][p];
            }
        const double share = dot(rest, column) / dot(column, column);
        for (std::size_t i = 0; i < rest.size(); ++i) rest[i] -= share * column[i];
        for (std::size_t p = 0; p < columns; ++p) scaled[p] += share * in_powers[p];
        basis.push_back(std::move(column));
        powers.push_back(std::move(in_powers));
    }

    // From powers of (x - middle) / half to powers of x, by Horner's scheme on polynomials.
    std::vector<double> result = {scaled.back()};
    for (std::size_t p = columns - 1; p-- > 0;) {
        std::vector<double> next(result.size() + 1, 0);
        for (std::size_t i = 0; i < result.size(); ++i) {
            next[i] += result[i] / half;
            next[i + 1] -= result[i] * middle / half;
        }
        next.back() += scaled[p];
        result = std::move(next);
    }
    return result;
}

double evaluate_polynomial(const std::vector<double>& polynomial, double x) {
    double value = 0;
    for (const double coefficient : polynomial) value = value * x + coefficient;
    return value;
}

std::vector<int> block_caching_steps(const std::vector<double>& change, double threshold,
                                     const std::vector<int>& hidden) {
    std::vector<int> reused;
    double since = 0;
    for (std::size_t s = 1; s < change.size(); ++s) {
        const auto step = static_cast<int>(s);
        since += change[s];
        if (std::binary_search(hidden.begin(), hidden.end(), step)) continue;
        if (threshold > 0 && since <= threshold)
            reused.push_back(step);
        else
            since = 0;
    }
    return reused;
}

Config block_caching(const Profile& profile, const BlockCachingOptions& options) {
    if (!std::isfinite(options.threshold) || options.threshold < 0)
        usage_error("blockcache: threshold is {}; expected 0 or more", options.threshold);
    std::vector<Profile::Module> modules;
    for (const Profile::Module& module : profile.modules)
        if (std::find(options.kinds.begin(), options.kinds.end(), module.kind) != options.kinds.end())
            modules.push_back(module);
    if (modules.empty())
        usage_error("blockcache: the profile has no module of these kinds; calibrate with them");
    // A module before those within it: where it is reused they do not run.
    std::stable_sort(modules.begin(), modules.end(),
                     [](const auto& a, const auto& b) { return a.name.size() < b.name.size(); });
    Config config;
    std::map<std::string, std::vector<int>> reused;
    for (const Profile::Module& module : modules) {
        std::set<int> hidden;
        for (const auto& [outer, steps] : reused)
            if (module.name.starts_with(outer + ".")) hidden.insert(steps.begin(), steps.end());
        auto steps = block_caching_steps(module.change, options.threshold, {hidden.begin(), hidden.end()});
        if (steps.empty()) continue;
        reused[module.name] = steps;
        config.push_back({module.name,
                          StepFunction(std::move(steps), profile.run.num_inference_steps),
                          {module.kind},
                          {module.residual ? Store::Rule::delta : Store::Rule::output}});
    }
    return config;
}

}  // namespace reprise::cachify
