#include "models/facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

namespace reprise::models {

using graph::Graph;
using graph::Outline;

namespace {

constexpr UNetNames kUNet = {"down_blocks",  "mid_block", "up_blocks", {"resnets", "attentions"},
                             "downsamplers", "upsamplers"};

/// The second preset for videos was measured on 8 stills; that model's presets are older than EasyCache's
/// rule of the last step.
constexpr DenoiserFacts kFacts[] = {
    {"UNet2DConditionModel",
     {kSdxlDefault, 3, 0, "step % 2 != 0"},
     false,
     {{{"taylorseer:interval=2", 1.83, 5.1, 0.7, false},
       {"deepcache:interval=3,branch=0", 2.49, 1.4, 0.6, false},
       {"deepcache:interval=4,branch=0", 3.28, 0.4, 0.8, false},
       {"deepcache:interval=5,branch=0", 3.98, 0.8, 0.7, false}}},
     &kUNet},
    {"PixArtTransformer2DModel",
     {kPixArtDefault, 28, 1.0 / 4, "step % 3 != 0", kPixArtAsWritten},
     false,
     {{{"fbcache:threshold=0.05", 1.46, 17.7, 2.0, true},
       {"fbcache:threshold=0.07", 1.88, 5.8, 1.4, true},
       {"fbcache:threshold=0.1", 2.29, 9.7, 1.0, true},
       {"fbcache:threshold=0.2", 2.96, 9.4, 0.8, true}}}},
    {"SD3Transformer2DModel",
     {kSd3Default, 24, 1.0 / 3, "step % 2 != 0"},
     false,
     {{{"easycache:threshold=0.15", 1.33, 0.7, 1.1, true},
       {"easycache:threshold=0.2", 1.49, -0.1, 1.3, true},
       {"easycache:threshold=0.3", 1.83, -2.2, 1.1, true},
       {"easycache:threshold=0.4", 1.99, -0.5, 1.6, true}}}},
    {"UNetSpatioTemporalConditionModel",
     {kSvdDefault, 4, 0, "step % 2 != 0"},
     true,
     {{{"easycache:threshold=0.15", 1.53, 21.6, 0.8, true},
       {"easycache:threshold=0.2", 1.7, 9.6, 0.8, true},
       {"easycache:threshold=0.3", 2.10, 4.0, 0.8, true},
       {"easycache:threshold=0.6", 3.29, 0.9, 0.5, true}}},
     &kUNet},
};

/// How the blocks of a UNet are joined, by their names, as diffusers' UNets do it: each layer of a down block
/// and its sampler give a skip, each layer of an up block takes the last that is left.
class ListedUNet {
  public:
    ListedUNet(const Outline& listed, const UNetNames& names) : listed_(listed), names_(names) {}

    Outline read() {
        ends_ = {{-1, 0, 0, 0, 0}};
        for (const std::string_view stack : {names_.down, names_.middle, names_.up})
            for (const auto& unit : listed_.units)
                if (unit.stack == stack) add(unit);
        return std::move(outline_);
    }

  private:
    int count(const Outline::Unit& listed, std::string_view list) const {
        const std::string stack = fmt::format("{}.{}", listed.name, list);
        return static_cast<int>(
            std::count_if(listed.layers.begin(), listed.layers.end(),
                          [&](const auto& layer) { return graph::stack_of(layer.name) == stack; }));
    }

    void add_layer(const Outline::Unit& listed, std::string_view list, int number) {
        const std::string name = fmt::format("{}.{}.{}", listed.name, list, number);
        for (const auto& layer : listed.layers)
            if (layer.name == name) outline_.units.back().layers.push_back(layer);
    }

    void add(const Outline::Unit& listed) {
        Outline::Unit& unit = outline_.units.emplace_back(listed);
        unit.layers.clear();
        const int layers = count(listed, names_.layer[0]);
        const bool down = unit.stack == names_.down, up = unit.stack == names_.up;
        int outputs = 1;
        // Blocks of another kind list no layers, and share one skip.
        if (down && layers == 0) give(outputs++);
        if (up && layers == 0) take();
        for (int layer = 0; layer < layers; ++layer) {
            if (up) take();
            for (const std::string_view list : names_.layer) add_layer(listed, list, layer);
            if (down) give(outputs++);
        }
        const std::string_view sampler = down ? names_.downsampler : names_.upsampler;
        if (count(listed, sampler) == 0) return;
        add_layer(listed, sampler, 0);
        if (down && layers > 0) give(outputs);
    }

    int place() const { return static_cast<int>(outline_.units.size()) - 1; }
    int layers_so_far() const { return static_cast<int>(outline_.units.back().layers.size()); }

    void give(int output) { ends_.push_back({place(), output, layers_so_far(), 0, 0}); }

    void take() {
        if (ends_.empty()) return;
        Outline::Skip skip = ends_.back();
        ends_.pop_back();
        skip.to = place();
        skip.before = layers_so_far();
        outline_.skips.push_back(skip);
    }

    const Outline& listed_;
    const UNetNames& names_;
    Outline outline_;
    std::vector<Outline::Skip> ends_;  ///< that were given and are not yet taken
};

}  // namespace

std::span<const DenoiserFacts> denoiser_facts() {
    return kFacts;
}

const DenoiserFacts* facts_of(std::string_view class_name) {
    const auto* found = std::ranges::find(kFacts, class_name, &DenoiserFacts::class_name);
    return found == std::end(kFacts) ? nullptr : found;
}

Outline outline_of(std::string_view class_name, const Graph& graph) {
    Outline outline = graph::of_part(graph::outline_of(graph), "");
    const DenoiserFacts* facts = facts_of(class_name);
    if (!graph.nodes.empty() || facts == nullptr || facts->unet == nullptr) return outline;
    return ListedUNet(outline, *facts->unet).read();
}

}  // namespace reprise::models
