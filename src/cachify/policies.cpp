#include "cachify/policies.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "cachify/schedule.h"
#include "files/printable.h"
#include "reprise/error.h"

namespace reprise::cachify {

namespace {

// Options of policies as texts, where those are not the public ones alone.
struct NoOptions {};
struct AutoOptions {
    double speedup = 2;
};
struct TaylorSeerText {
    TaylorSeerOptions options;
    bool attention = false;
};
struct BlockCachingText {
    std::string profile;
    BlockCachingOptions options;
    bool attention = false;
};
struct FirstBlockCacheText {
    RunningOptions running;
    int order = 0;
};
struct MagCacheText {
    std::string profile;
    MagCacheOptions options;
};
struct TeaCacheText {
    std::string profile;
    TeaCacheOptions options;
};
/// What every policy has.
struct CommonOptions {
    std::string kept_in;
};

constexpr PolicyParameter kDeepCache[] = {
    parameter<&DeepCacheOptions::interval>({"interval", "one full step in so many", 1}),
    parameter<&DeepCacheOptions::branch>(
        {"branch", "depth of the path that still runs, in layers from the outside"}),
    parameter<&DeepCacheOptions::uniform>(
        {"uniform", "1: full steps evenly spaced; 0: denser around center"}),
    parameter<&DeepCacheOptions::center>({"center", "step"}),
    parameter<&DeepCacheOptions::power>({"power", "above 1; more is denser"}),
};
constexpr PolicyParameter kTGate[] = {
    parameter<&TGateOptions::gate>({"gate", "step from which cross-attention stays and guidance is off", 1}),
    parameter<&TGateOptions::warm_up>({"warm_up", "last step before self-attention is reused"}),
    parameter<&TGateOptions::interval>(
        {"interval", "steps from one self-attention to the next before the gate", 1}),
    parameter<&TGateOptions::interval_after_gate>({"interval_after_gate", "the same from the gate on", 1}),
};
using Broadcast = AttentionBroadcastOptions;
constexpr PolicyParameter kAttentionBroadcast[] = {
    parameter<&Broadcast::self_attention>({"self", "steps from one run to the next; 0: all run"}),
    parameter<&Broadcast::cross_attention>({"cross", "likewise"}),
    parameter<&Broadcast::joint_attention>({"joint", "likewise"}),
    parameter<&Broadcast::temporal_attention>({"temporal", "likewise"}),
    parameter<&Broadcast::from>({"from", "begin of the window, as a share of the steps"}),
    parameter<&Broadcast::to>({"to", "end of the window"}),
};
template <auto Member>
constexpr PolicyParameter of_taylor_seer(PolicyParameter facts) {
    return parameter<&TaylorSeerText::options, Member>(facts);
}
constexpr PolicyParameter kTaylorSeer[] = {
    of_taylor_seer<&TaylorSeerOptions::interval>({"interval", "one step in so many runs", 1}),
    of_taylor_seer<&TaylorSeerOptions::before>({"before", "steps at the beginning that all run", 1}),
    of_taylor_seer<&TaylorSeerOptions::after>({"after", "step from which all run; -1: none", -1}),
    of_taylor_seer<&TaylorSeerOptions::order>({"order", "of the extrapolation, 1 or 2", 1}),
    parameter<&TaylorSeerText::attention>({"attention", "1: attention layers instead of whole blocks"}),
};
constexpr PolicyParameter kAuto[] = {
    parameter<&AutoOptions::speedup>({"speedup", "of the denoiser; the nearest of what there is is taken"}),
};
constexpr PolicyParameter kGuidanceReuse[] = {
    parameter<&GuidanceReuseOptions::interval>({"interval", "one step in so many evaluates both halves", 1}),
    parameter<&GuidanceReuseOptions::before>({"before", "steps at the beginning that all do", 1}),
};

template <auto Member>
constexpr PolicyParameter profile() {
    return parameter<Member>(
        {.name = "profile", .meaning = "a file that reprise calibrate wrote", .required = true});
}
// Of all policies that decide while running; the path leads to their RunningOptions.
template <auto... Running>
constexpr PolicyParameter threshold(std::string_view meaning) {
    return parameter<Running..., &RunningOptions::threshold>({"threshold", meaning});
}
template <auto... Running>
constexpr PolicyParameter warm_up(std::string_view meaning = "steps at the beginning that all run") {
    return parameter<Running..., &RunningOptions::warm_up>({"warm_up", meaning});
}
template <auto... Running>
constexpr PolicyParameter in_a_row() {
    return parameter<Running..., &RunningOptions::most_in_a_row>(
        {"in_a_row", "most reused steps in a row; 0: no limit"});
}
template <auto... Running>
constexpr PolicyParameter in_all() {
    return parameter<Running..., &RunningOptions::most_in_all>(
        {"in_all", "most reused steps of a generation; 0: no limit"});
}
template <auto... Running>
constexpr PolicyParameter mask() {
    return parameter<Running..., &RunningOptions::mask>(
        {"mask", "steps that may be reused: slow, medium, fast, ultra; without: any"});
}

constexpr PolicyParameter kBlockCaching[] = {
    profile<&BlockCachingText::profile>(),
    parameter<&BlockCachingText::options, &BlockCachingOptions::threshold>(
        {"threshold", "change that a module may gather before it runs again; more is faster"}),
    parameter<&BlockCachingText::attention>(
        {"attention", "1: the transformers and attentions of the profile instead of whole blocks"}),
};
constexpr auto kOfFirstBlock = &FirstBlockCacheText::running;
constexpr PolicyParameter kFirstBlockCache[] = {
    threshold<kOfFirstBlock>("relative change of what the first block adds, since the last full step"),
    warm_up<kOfFirstBlock>(),
    in_a_row<kOfFirstBlock>(),
    in_all<kOfFirstBlock>(),
    mask<kOfFirstBlock>(),
    parameter<&FirstBlockCacheText::order>({"order", "1 or 2: what is reused is extrapolated"}),
};
constexpr auto kOfDualBlock = &DualBlockCacheOptions::running;
constexpr PolicyParameter kDualBlockCache[] = {
    threshold<kOfDualBlock>("relative change of what the first blocks add, since the last full step"),
    parameter<&DualBlockCacheOptions::first>({"first", "blocks at the beginning that run at every step", 1}),
    parameter<&DualBlockCacheOptions::last>({"last", "blocks at the end that do"}),
    warm_up<kOfDualBlock>(),
    in_a_row<kOfDualBlock>(),
    in_all<kOfDualBlock>(),
    mask<kOfDualBlock>(),
    parameter<&DualBlockCacheOptions::order>({"order", "1 or 2: what is reused is extrapolated"}),
};
constexpr auto kOfEasyCache = &EasyCacheOptions::running;
constexpr PolicyParameter kEasyCache[] = {
    threshold<kOfEasyCache>("change of the prediction that may be expected since it was last made"),
    warm_up<kOfEasyCache>(),
    in_a_row<kOfEasyCache>(),
    in_all<kOfEasyCache>(),
    mask<kOfEasyCache>(),
};
constexpr auto kOfUNetCache = &UNetCacheOptions::running;
constexpr PolicyParameter kUNetCache[] = {
    threshold<kOfUNetCache>("the same, on stable-diffusion.cpp's scale"),
    warm_up<kOfUNetCache>(
        "steps at the beginning that all run, as do the first 15 and the last 5 % without a mask"),
    in_a_row<kOfUNetCache>(),
    in_all<kOfUNetCache>(),
    mask<kOfUNetCache>(),
};
constexpr auto kOfMagCache = &MagCacheText::options;
constexpr auto kMagRunning = &MagCacheOptions::running;
constexpr PolicyParameter kMagCache[] = {
    profile<&MagCacheText::profile>(),
    threshold<kOfMagCache, kMagRunning>("error of the magnitude that may gather"),
    parameter<kOfMagCache, &MagCacheOptions::retention>(
        {"retention", "share of the steps, at the beginning, that run; a mask takes its place"}),
    warm_up<kOfMagCache, kMagRunning>(),
    in_a_row<kOfMagCache, kMagRunning>(),
    in_all<kOfMagCache, kMagRunning>(),
    mask<kOfMagCache, kMagRunning>(),
};
constexpr auto kOfTeaCache = &TeaCacheText::options;
constexpr auto kTeaRunning = &TeaCacheOptions::running;
constexpr PolicyParameter kTeaCache[] = {
    profile<&TeaCacheText::profile>(),
    threshold<kOfTeaCache, kTeaRunning>(
        "change of the prediction that may gather, as the polynomial foretells it"),
    warm_up<kOfTeaCache, kTeaRunning>(),
    in_a_row<kOfTeaCache, kTeaRunning>(),
    in_all<kOfTeaCache, kTeaRunning>(),
    mask<kOfTeaCache, kTeaRunning>(),
};
constexpr PolicyParameter kCommon[] = {
    parameter<&CommonOptions::kept_in>(
        {"kept_in", "f16 or bf16: half the memory for what is kept, where the denoiser runs in f32"}),
};

Config make_t_gate(const PolicyContext& context, TGateOptions options) {
    const models::DenoiserFacts* facts = models::facts_of(context.denoiser_class);
    options.conditional = facts != nullptr && facts->conditional_alone;
    return t_gate(options);
}
Config make_taylor_seer(const PolicyContext& context, const TaylorSeerText& given) {
    TaylorSeerOptions options = given.options;
    if (given.attention) {
        options.kinds.clear();
        for (const auto& module : context.graph.modules)
            if (module.part.empty() && name_of(module.kind).ends_with("attention") &&
                std::find(options.kinds.begin(), options.kinds.end(), module.kind) == options.kinds.end())
                options.kinds.push_back(module.kind);
    }
    return taylor_seer(options);
}
Config make_guidance_reuse(const PolicyContext& /*context*/, const GuidanceReuseOptions& options) {
    return guidance_reuse(options);
}

Profile profile_for(const PolicyContext& context, const std::string& path) {
    constexpr std::size_t kLongestPath = 4096;
    if (path != printable(path, kLongestPath))
        usage_error("profile is '{}'; expected the path of a file", printable(path));
    Profile profile = load_profile(path);
    check_identity(profile.model, context, path);
    return profile;
}

Config make_block_caching(const PolicyContext& context, const BlockCachingText& given) {
    BlockCachingOptions options = given.options;
    if (given.attention)
        options.kinds = {ModuleKind::transformer, ModuleKind::self_attention, ModuleKind::cross_attention,
                         ModuleKind::joint_attention};
    return block_caching(profile_for(context, given.profile), options);
}

Config make_first_block_cache(const PolicyContext& context, const FirstBlockCacheText& given) {
    return dual_block_cache(context, {1, 0, given.order, given.running});
}
Config make_easy_cache(const PolicyContext& /*context*/, const EasyCacheOptions& options) {
    return easy_cache(options);
}
Config make_unet_cache(const PolicyContext& /*context*/, const UNetCacheOptions& options) {
    return unet_cache(options);
}
Config make_mag_cache(const PolicyContext& context, const MagCacheText& given) {
    return mag_cache(context, profile_for(context, given.profile), given.options);
}
Config make_tea_cache(const PolicyContext& context, const TeaCacheText& given) {
    return tea_cache(context, profile_for(context, given.profile), given.options);
}

Config make_auto(const PolicyContext& context, const AutoOptions& options) {
    return auto_config(context, options.speedup);
}

/// For people who want no parameters: those of the denoiser's class (docs/policies.md), or of the first.
template <std::size_t kLevel>
Config make_preset(const PolicyContext& context, const NoOptions& /*options*/) {
    auto presets = presets_of(context.denoiser_class);
    if (presets.empty()) presets = models::denoiser_facts().front().presets;
    return make_policy(context, presets[kLevel].policy);
}

Config make_default(const PolicyContext& context, const NoOptions& /*options*/) {
    return default_config(context);
}

Config make_original_example(const PolicyContext& context, const NoOptions& /*options*/) {
    return original_example(context);
}

/// A policy whose options are set from its values.
template <class Options, auto Make>
Config make(const PolicyContext& context, std::span<const PolicyParameter> parameters,
            const std::vector<PolicyValue>& values) {
    Options options;
    set_values(parameters, values, &options);
    return Make(context, options);
}
// Of overloads, the one that takes a context.
Config make_deep_cache(const PolicyContext& context, const DeepCacheOptions& options) {
    return deep_cache(context, options);
}
Config make_attention_broadcast(const PolicyContext& context, const AttentionBroadcastOptions& options) {
    return attention_broadcast(context, options);
}
Config make_dual_block_cache(const PolicyContext& context, const DualBlockCacheOptions& options) {
    return dual_block_cache(context, options);
}

constexpr auto kPolicies = std::to_array<NamedPolicy>({
    {"auto", "what was tuned for this model, else a preset that is ahead of fewer steps, else nothing", kAuto,
     make<AutoOptions, make_auto>},
    {"modelopt", "NVIDIA Model Optimizer, cache_diffusion: its defaults", {}, make<NoOptions, make_default>},
    {"default", "the same, under the name of its interface", {}, make<NoOptions, make_default>},
    {"slow", "a preset: nearest to the full result (docs/policies.md)", {}, make<NoOptions, make_preset<0>>},
    {"medium", "a preset", {}, make<NoOptions, make_preset<1>>},
    {"fast", "a preset", {}, make<NoOptions, make_preset<2>>},
    {"ultra", "a preset: the fastest", {}, make<NoOptions, make_preset<3>>},
    {"pixart-original",
     "NVIDIA Model Optimizer, cache_diffusion, as its example is written",
     {},
     make<NoOptions, make_original_example>},
    {"deepcache", "arXiv 2312.00858", kDeepCache, make<DeepCacheOptions, make_deep_cache>},
    {"blockcache", "arXiv 2312.03209", kBlockCaching, make<BlockCachingText, make_block_caching>},
    {"tgate", "arXiv 2404.02747", kTGate, make<TGateOptions, make_t_gate>},
    {"pab", "arXiv 2408.12588", kAttentionBroadcast,
     make<AttentionBroadcastOptions, make_attention_broadcast>},
    {"taylorseer", "arXiv 2503.06923", kTaylorSeer, make<TaylorSeerText, make_taylor_seer>},
    {"guidance", "arXiv 2410.19355", kGuidanceReuse, make<GuidanceReuseOptions, make_guidance_reuse>},
    {"fbcache", "chengzeyi/ParaAttention, first block cache", kFirstBlockCache,
     make<FirstBlockCacheText, make_first_block_cache>},
    {"dbcache", "vipshop/cache-dit", kDualBlockCache, make<DualBlockCacheOptions, make_dual_block_cache>},
    {"easycache", "arXiv 2507.02860", kEasyCache, make<EasyCacheOptions, make_easy_cache>},
    {"ucache", "leejet/stable-diffusion.cpp, for UNets", kUNetCache, make<UNetCacheOptions, make_unet_cache>},
    {"magcache", "arXiv 2506.09045", kMagCache, make<MagCacheText, make_mag_cache>},
    {"teacache", "arXiv 2411.19108", kTeaCache, make<TeaCacheText, make_tea_cache>},
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
    const auto values =
        read_policy_values(policy.name, {policy.parameters, std::span<const PolicyParameter>(kCommon)},
                           colon == std::string_view::npos ? "" : text.substr(colon + 1));
    CommonOptions common;
    set_values(kCommon, values, &common);
    Config made = policy.make(context, policy.parameters, values);
    check_matches(context.graph, made);
    if (!common.kept_in.empty())
        for (Entry& entry : made) entry.store.kept_in = kept_in_from(common.kept_in);
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
