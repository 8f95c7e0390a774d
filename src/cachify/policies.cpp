#include "cachify/policies.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>

#include "cachify/schedule.h"
#include "files/printable.h"
#include "reprise/error.h"

namespace reprise::cachify {

namespace {

constexpr PolicyParameter kDeepCache[] = {
    {"interval", 3, "one full step in so many"},
    {"branch", 0, "depth of the path that still runs, in layers from the outside"},
    {"uniform", 1, "1: full steps evenly spaced; 0: denser around center"},
    {"center", 15, "step"},
    {"power", 1.4, "above 1; more is denser"},
};
constexpr PolicyParameter kTGate[] = {
    {"gate", 10, "step from which cross-attention stays and guidance is off"},
    {"warm_up", 2, "last step before self-attention is reused"},
    {"interval", 5, "steps from one self-attention to the next before the gate"},
    {"interval_after_gate", 1, "the same from the gate on"},
};
constexpr PolicyParameter kAttentionBroadcast[] = {
    {"self", 2, "steps from one run to the next; 0: all run"},
    {"cross", 0, "likewise"},
    {"joint", 2, "likewise"},
    {"temporal", 0, "likewise"},
    {"from", 0.2, "begin of the window, as a share of the steps"},
    {"to", 0.9, "end of the window"},
};
constexpr PolicyParameter kTaylorSeer[] = {
    {"interval", 5, "one step in so many runs"},
    {"before", 3, "steps at the beginning that all run"},
    {"after", -1, "step from which all run; -1: none"},
    {"order", 1, "of the extrapolation, 1 or 2"},
    {"attention", 0, "1: attention layers instead of whole blocks"},
};
constexpr PolicyParameter kAuto[] = {
    {"speedup", 2, "of the denoiser; the nearest of what there is is taken"},
};
constexpr PolicyParameter kInARow = {"in_a_row", 0, "most reused steps in a row; 0: no limit"};
constexpr PolicyParameter kInAll = {"in_all", 0, "most reused steps of a generation; 0: no limit"};
constexpr PolicyParameter kMask = {"mask",
                                   "steps that may be reused: slow, medium, fast, ultra; without: any"};
constexpr PolicyParameter kProfile = {"profile", "a file that reprise calibrate wrote"};
constexpr PolicyParameter kBlockCaching[] = {
    kProfile,
    {"threshold", 0.2, "change that a module may gather before it runs again; more is faster"},
    {"attention", 0, "1: the transformers and attentions of the profile instead of whole blocks"},
};
constexpr PolicyParameter kFirstBlockCache[] = {
    {"threshold", 0.05, "relative change of what the first block adds, since the last full step"},
    {"warm_up", 1, "steps at the beginning that all run"},
    kInARow,
    kInAll,
    kMask,
    {"order", 0, "1 or 2: what is reused is extrapolated"},
};
constexpr PolicyParameter kDualBlockCache[] = {
    {"threshold", 0.08, "relative change of what the first blocks add, since the last full step"},
    {"first", 8, "blocks at the beginning that run at every step"},
    {"last", 0, "blocks at the end that do"},
    {"warm_up", 8, "steps at the beginning that all run"},
    kInARow,
    kInAll,
    kMask,
    {"order", 0, "1 or 2: what is reused is extrapolated"},
};
constexpr PolicyParameter kEasyCache[] = {
    {"threshold", 0.05, "change of the prediction that may be expected since it was last made"},
    {"warm_up", 2, "steps at the beginning that all run"},
    kInARow,
    kInAll,
    kMask,
};
constexpr PolicyParameter kUNetCache[] = {
    {"threshold", 1, "the same, on stable-diffusion.cpp's scale"},
    {"warm_up", 1, "steps at the beginning that all run, as do the first 15 and the last 5 % without a mask"},
    kInARow,
    kInAll,
    kMask,
};
constexpr PolicyParameter kMagCache[] = {
    kProfile,
    {"threshold", 0.06, "error of the magnitude that may gather"},
    {"retention", 0.2, "share of the steps, at the beginning, that run; a mask takes its place"},
    {"warm_up", 1, "steps at the beginning that all run"},
    {"in_a_row", 3, "most reused steps in a row; 0: no limit"},
    kInAll,
    kMask,
};
constexpr PolicyParameter kTeaCache[] = {
    kProfile,
    {"threshold", 0.15, "change of the prediction that may gather, as the polynomial foretells it"},
    {"warm_up", 1, "steps at the beginning that all run"},
    kInARow,
    kInAll,
    kMask,
};
constexpr PolicyParameter kGuidanceReuse[] = {
    {"interval", 2, "one step in so many evaluates both halves"},
    {"before", 2, "steps at the beginning that all do"},
};

/// What every policy has.
constexpr PolicyParameter kCommon[] = {
    {"kept_in", "f16 or bf16: half the memory for what is kept, where the denoiser runs in f32"},
};

Config make_deep_cache(const PolicyContext& context, const PolicyValues& values) {
    return deep_cache(context, {values.whole("interval", 1), values.whole("branch", 0), values.yes("uniform"),
                                values.real("center"), values.real("power")});
}
Config make_t_gate(const PolicyContext& context, const PolicyValues& values) {
    const models::DenoiserFacts* facts = models::facts_of(context.denoiser_class);
    return t_gate({values.whole("gate", 1), values.whole("warm_up", 0), values.whole("interval", 1),
                   values.whole("interval_after_gate", 1), facts != nullptr && facts->conditional_alone});
}
Config make_attention_broadcast(const PolicyContext& context, const PolicyValues& values) {
    return attention_broadcast(context,
                               {values.whole("self", 0), values.whole("cross", 0), values.whole("joint", 0),
                                values.whole("temporal", 0), values.real("from"), values.real("to")});
}
Config make_taylor_seer(const PolicyContext& context, const PolicyValues& values) {
    TaylorSeerOptions options = {values.whole("interval", 1),
                                 values.whole("before", 1),
                                 values.whole("after", -1),
                                 values.whole("order", 1),
                                 {ModuleKind::block}};
    if (values.yes("attention")) {
        options.kinds.clear();
        for (const auto& module : context.graph.modules)
            if (module.part.empty() && name_of(module.kind).ends_with("attention") &&
                std::find(options.kinds.begin(), options.kinds.end(), module.kind) == options.kinds.end())
                options.kinds.push_back(module.kind);
    }
    return taylor_seer(options);
}
Config make_guidance_reuse(const PolicyContext& /*context*/, const PolicyValues& values) {
    return guidance_reuse({values.whole("interval", 1), values.whole("before", 1)});
}

RunningOptions running(const PolicyValues& values) {
    return {values.real("threshold"), values.whole("warm_up", 0), values.whole("in_a_row", 0),
            values.whole("in_all", 0), values.optional_text("mask")};
}

Profile profile_for(const PolicyContext& context, const PolicyValues& values) {
    constexpr std::size_t kLongestPath = 4096;
    const std::string& path = values.text("profile");
    if (path != printable(path, kLongestPath))
        usage_error("profile is '{}'; expected the path of a file", printable(path));
    Profile profile = load_profile(path);
    check_identity(profile.model, context, path);
    return profile;
}

Config make_block_caching(const PolicyContext& context, const PolicyValues& values) {
    const Profile profile = profile_for(context, values);
    BlockCachingOptions options{values.real("threshold")};
    if (values.yes("attention"))
        options.kinds = {ModuleKind::transformer, ModuleKind::self_attention, ModuleKind::cross_attention,
                         ModuleKind::joint_attention};
    return block_caching(profile, options);
}

Config make_first_block_cache(const PolicyContext& context, const PolicyValues& values) {
    return dual_block_cache(context, {1, 0, values.whole("order", 0), running(values)});
}
Config make_dual_block_cache(const PolicyContext& context, const PolicyValues& values) {
    return dual_block_cache(context, {values.whole("first", 1), values.whole("last", 0),
                                      values.whole("order", 0), running(values)});
}
Config make_easy_cache(const PolicyContext& /*context*/, const PolicyValues& values) {
    return easy_cache({running(values), false});
}
Config make_unet_cache(const PolicyContext& /*context*/, const PolicyValues& values) {
    return easy_cache({running(values), true});
}
Config make_mag_cache(const PolicyContext& context, const PolicyValues& values) {
    return mag_cache(context, profile_for(context, values), {running(values), values.real("retention")});
}
Config make_tea_cache(const PolicyContext& context, const PolicyValues& values) {
    return tea_cache(context, profile_for(context, values), {running(values)});
}

Config make_auto(const PolicyContext& context, const PolicyValues& values) {
    return auto_config(context, values.real("speedup"));
}

/// For people who want no parameters: those of the denoiser's class (docs/policies.md), or of the first.
template <std::size_t kLevel>
Config make_preset(const PolicyContext& context, const PolicyValues& /*values*/) {
    auto presets = presets_of(context.denoiser_class);
    if (presets.empty()) presets = models::denoiser_facts().front().presets;
    return make_policy(context, presets[kLevel].policy);
}

Config make_default(const PolicyContext& context, const PolicyValues& /*values*/) {
    return default_config(context);
}

Config make_original_example(const PolicyContext& context, const PolicyValues& /*values*/) {
    return original_example(context);
}

constexpr auto kPolicies = std::to_array<NamedPolicy>({
    {"auto", "what was tuned for this model, else a preset that is ahead of fewer steps, else nothing", kAuto,
     make_auto},
    {"modelopt", "NVIDIA Model Optimizer, cache_diffusion: its defaults", {}, make_default},
    {"default", "the same, under the name of its interface", {}, make_default},
    {"slow", "a preset: nearest to the full result (docs/policies.md)", {}, make_preset<0>},
    {"medium", "a preset", {}, make_preset<1>},
    {"fast", "a preset", {}, make_preset<2>},
    {"ultra", "a preset: the fastest", {}, make_preset<3>},
    {"pixart-original",
     "NVIDIA Model Optimizer, cache_diffusion, as its example is written",
     {},
     make_original_example},
    {"deepcache", "arXiv 2312.00858", kDeepCache, make_deep_cache},
    {"blockcache", "arXiv 2312.03209", kBlockCaching, make_block_caching},
    {"tgate", "arXiv 2404.02747", kTGate, make_t_gate},
    {"pab", "arXiv 2408.12588", kAttentionBroadcast, make_attention_broadcast},
    {"taylorseer", "arXiv 2503.06923", kTaylorSeer, make_taylor_seer},
    {"guidance", "arXiv 2410.19355", kGuidanceReuse, make_guidance_reuse},
    {"fbcache", "chengzeyi/ParaAttention, first block cache", kFirstBlockCache, make_first_block_cache},
    {"dbcache", "vipshop/cache-dit", kDualBlockCache, make_dual_block_cache},
    {"easycache", "arXiv 2507.02860", kEasyCache, make_easy_cache},
    {"ucache", "leejet/stable-diffusion.cpp, for UNets", kUNetCache, make_unet_cache},
    {"magcache", "arXiv 2506.09045", kMagCache, make_mag_cache},
    {"teacache", "arXiv 2411.19108", kTeaCache, make_tea_cache},
});

const NamedPolicy* find_policy(std::string_view text) {
    const std::string_view name = text.substr(0, text.find_first_of(":+"));
    for (const NamedPolicy& policy : kPolicies)
        if (policy.name == name) return &policy;
    return nullptr;
}

/// Where the '+' is that joins another policy, or the text ends: those in numbers such as 1e+3 and in names
/// of files are followed by no word that ends the text or has a ':' or '+' behind it.
std::size_t end_of_policy(std::string_view text) {
    for (auto plus = text.find('+'); plus != std::string_view::npos; plus = text.find('+', plus + 1)) {
        const std::string_view rest = text.substr(plus + 1);
        const std::string_view word = rest.substr(0, rest.find_first_of(":+"));
        const auto in_a_name = [](char c) { return (c >= 'a' && c <= 'z') || c == '-' || c == '_'; };
        if (std::ranges::all_of(word, in_a_name)) return plus;
    }
    return text.size();
}

/// What one policy makes; whatever it refuses is refused in its name.
Config made_by(const NamedPolicy& policy, const PolicyContext& context, std::string_view text) try {
    const auto colon = text.find(':');
    const PolicyValues values(std::string(policy.name), policy.parameters,
                              colon == std::string_view::npos ? "" : text.substr(colon + 1));
    Config made = policy.make(context, values);
    check_matches(context.graph, made);
    if (const std::string& type = values.optional_text("kept_in"); !type.empty())
        for (Entry& entry : made) entry.store.kept_in = kept_in_from(type);
    return made;
} catch (const Error& error) {
    const std::string name = fmt::format("{}: ", policy.name);
    if (error.kind() != ErrorKind::usage || std::string_view(error.what()).starts_with(name)) throw;
    usage_error("{}{}", name, error.what());
}

}  // namespace

Entry of_names(const std::vector<std::string>& names, const StepFunction& steps,
               const std::vector<ModuleKind>& kinds, Store store) {
    std::vector<std::string> escaped;
    for (const std::string& name : names) {
        std::string& text = escaped.emplace_back();
        for (const char c : name) {
            if (std::ispunct(static_cast<unsigned char>(c)) != 0 && c != '_') text += '\\';
            text += c;
        }
    }
    return {ModuleFilter::regex(fmt::format("^({})$", fmt::join(escaped, "|"))), steps, kinds,
            std::move(store)};
}

PolicyValues::PolicyValues(std::string policy, std::span<const PolicyParameter> parameters,
                           std::string_view text)
    : policy_(std::move(policy)) {
    std::vector<std::string_view> known;
    for (const auto& list : {parameters, std::span<const PolicyParameter>(kCommon)})
        for (const auto& parameter : list) {
            values_.push_back({&parameter, parameter.otherwise, "", false});
            known.push_back(parameter.name);
        }
    for (bool more = !text.empty(); more;) {
        const std::string_view one = text.substr(0, text.find(','));
        more = one.size() < text.size();
        text.remove_prefix(std::min(text.size(), one.size() + 1));
        const auto equals = one.find('=');
        const std::string_view name = one.substr(0, equals);
        const auto found = std::find(known.begin(), known.end(), name);
        if (found == known.end() || equals == std::string_view::npos)
            usage_error("{}: '{}' is no parameter; there are {}, each as name=value", policy_, printable(one),
                        fmt::join(known, ", "));
        const std::string_view given = one.substr(equals + 1);
        Value& value = values_[static_cast<std::size_t>(found - known.begin())];
        if (value.given) usage_error("{}: {} is given twice", policy_, name);
        value.given = true;
        value.text = given;
        if (value.parameter->type == PolicyParameter::Type::text) continue;
        const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), value.number);
        if (error != std::errc() || end != given.data() + given.size() || !std::isfinite(value.number))
            usage_error("{}: {} is '{}'; expected a number", policy_, name, printable(given));
    }
}

const PolicyValues::Value& PolicyValues::value(std::string_view name) const {
    for (const Value& value : values_)
        if (value.parameter->name == name) return value;
    failure("{}: no parameter {}", policy_, name);
}

double PolicyValues::real(std::string_view name) const {
    return value(name).number;
}

const std::string& PolicyValues::text(std::string_view name) const {
    const Value& found = value(name);
    if (found.text.empty()) usage_error("{}: give {}=..., {}", policy_, name, found.parameter->meaning);
    return found.text;
}

const std::string& PolicyValues::optional_text(std::string_view name) const {
    return value(name).text;
}

bool PolicyValues::yes(std::string_view name) const {
    const double value = real(name);
    if (value != 0 && value != 1) usage_error("{}: {} is {}; expected 0 or 1", policy_, name, value);
    return value == 1;
}

int PolicyValues::whole(std::string_view name, int least) const {
    const double value = real(name);
    if (value != std::floor(value) || value < least || value > 1e6)
        usage_error("{}: {} is {}; expected a whole number of at least {}", policy_, name, value, least);
    return static_cast<int>(value);
}

std::span<const PolicyParameter> common_parameters() {
    return kCommon;
}

std::span<const NamedPolicy> policies() {
    return kPolicies;
}

bool names_policy(std::string_view text) {
    return find_policy(text) != nullptr;
}

Config make_policy(const PolicyContext& context, std::string_view text) {
    Config config;
    for (bool more = true; more;) {
        const std::string_view one = text.substr(0, end_of_policy(text));
        more = one.size() < text.size();
        text.remove_prefix(std::min(text.size(), one.size() + 1));
        const NamedPolicy* policy = find_policy(one);
        if (policy == nullptr) {
            std::vector<std::string_view> known;
            for (const auto& entry : kPolicies) known.push_back(entry.name);
            usage_error("'{}' is no policy; there are {}", printable(one), fmt::join(known, ", "));
        }
        config = config + made_by(*policy, context, one);
    }
    return config;
}

}  // namespace reprise::cachify
