// Every key that diffusers' UNetSpatioTemporalConditionModel registers, taken or refused.
#include <array>
#include <optional>
#include <string>

#include "models/config_checks.h"
#include "models/unet_spatio_temporal.h"
#include "reprise/error.h"

namespace reprise::models {

namespace {

constexpr auto kKeys = std::to_array<std::string_view>({
    "sample_size",
    "in_channels",
    "out_channels",
    "down_block_types",
    "up_block_types",
    "block_out_channels",
    "addition_time_embed_dim",
    "projection_class_embeddings_input_dim",
    "layers_per_block",
    "cross_attention_dim",
    "transformer_layers_per_block",
    "num_attention_heads",
    "num_frames",
});

/// Reads what each block is made of.
class Blocks {
  public:
    explicit Blocks(const Config& config) : config_(config) {
        const std::string cross_down = "CrossAttnDownBlockSpatioTemporal";
        const std::string cross_up = "CrossAttnUpBlockSpatioTemporal";
        down_types_ = types("down_block_types", "Down",
                            {cross_down, cross_down, cross_down, "DownBlockSpatioTemporal"});
        up_types_ = types("up_block_types", "Up", {"UpBlockSpatioTemporal", cross_up, cross_up, cross_up});
        check_count("up_block_types", up_types_.size());
        channels_ = config.get_or("block_out_channels", std::vector<std::int64_t>{320, 640, 1280, 1280});
        check_count("block_out_channels", channels_.size());
        for (const auto channels : channels_) {
            check_range(config, "block_out_channels", channels, 1, kMaxWidth);
            if (channels % nn::kSpatioTemporalGroups != 0)
                usage_error("{}: \"block_out_channels\" has {}, expected multiples of {}, the norms' groups",
                            config.file, channels, nn::kSpatioTemporalGroups);
        }
        layers_ = get_sizes(config, "layers_per_block", count(), 2, kMaxDepth);
        read_heads();
        const Json layers = contains(config.json, kLayersKey) ? config.require<Json>(kLayersKey) : Json(1);
        if (layers.is_array()) check_count(kLayersKey, layers.size());
        transformer_layers_ =
            layers.is_array() ? layers.get<std::vector<Json>>() : std::vector<Json>(count(), layers);
    }

    std::size_t count() const { return down_types_.size(); }
    std::int64_t first_channels() const { return channels_.front(); }

    /// The context's width, the same for all blocks that read it.
    std::int64_t context_width() const {
        const auto widths = get_sizes(config_, "cross_attention_dim", count(), 1024);
        const auto width = widths.back();  // that of the middle block, which always reads it
        const auto check = [&](std::int64_t other) {
            if (other != width)
                usage_error("{}: \"cross_attention_dim\" gives {} and {} to blocks that read one embedding",
                            config_.file, other, width);
        };
        for (std::size_t i = 0; i < count(); ++i) {
            if (down_types_[i]) check(widths[i]);
            if (up_types_[i]) check(widths[count() - 1 - i]);
        }
        return width;
    }

    std::vector<nn::SpatioTemporalBlock> down() const {
        std::vector<nn::SpatioTemporalBlock> result;
        for (std::size_t i = 0; i < count(); ++i)
            result.push_back({channels_[i], layers_[i], i + 1 < count(), down_types_[i] ? 1e-6F : 1e-5F,
                              transformers(i, layers_[i], down_types_[i])});
        return result;
    }
    std::vector<nn::SpatioTemporalBlock> up() const {
        std::vector<nn::SpatioTemporalBlock> result;
        for (std::size_t i = 0; i < count(); ++i) {
            const std::size_t mirrored = count() - 1 - i;
            const auto layers = layers_[mirrored] + 1;
            result.push_back({channels_[mirrored], layers, mirrored > 0, 1e-6F,
                              transformers(mirrored, layers, up_types_[i])});
        }
        return result;
    }
    nn::TransformerSpatioTemporal mid() const { return transformers(count() - 1, 1, true).front(); }

  private:
    static constexpr std::string_view kLayersKey = "transformer_layers_per_block";

    void check_count(std::string_view key, std::size_t entries) const {
        if (entries != count())
            usage_error("{}: \"{}\" has {} entries, \"down_block_types\" {}", config_.file, key, entries,
                        count());
    }

    /// For each block whether it has transformers.
    std::vector<bool> types(std::string_view key, std::string_view direction,
                            const std::vector<std::string>& otherwise) const {
        const auto names = config_.get_or(key, otherwise);
        check_range(config_, key, static_cast<std::int64_t>(names.size()), 1, 8);
        const std::string plain = fmt::format("{}BlockSpatioTemporal", direction);
        const std::string cross = fmt::format("CrossAttn{}BlockSpatioTemporal", direction);
        std::vector<bool> result;
        for (const auto& name : names) {
            if (name != plain && name != cross) unsupported(config_, key, plain + ", " + cross);
            result.push_back(name == cross);
        }
        return result;
    }

    void read_heads() {
        const bool given = contains(config_.json, "num_attention_heads");
        if (!given && count() != 4)
            usage_error("{}: \"num_attention_heads\" is missing, and its default is for 4 blocks, not {}",
                        config_.file, count());
        heads_ = given ? config_.require_ints("num_attention_heads", count())
                       : std::vector<std::int64_t>{5, 10, 20, 20};
        for (std::size_t i = 0; i < count(); ++i) {
            check_range(config_, "num_attention_heads", heads_[i], 1, kMaxWidth);
            const bool used = i + 1 == count() || down_types_[i] || up_types_[count() - 1 - i];
            if (used && channels_[i] % heads_[i] != 0)
                usage_error("{}: \"num_attention_heads\" has {}, which does not divide {} channels",
                            config_.file, heads_[i], channels_[i]);
        }
    }

    /// A transformer for each of a block's resnets; `i` is the down block at its resolution.
    std::vector<nn::TransformerSpatioTemporal> transformers(std::size_t i, std::int64_t resnets,
                                                            bool wanted) const {
        std::vector<nn::TransformerSpatioTemporal> result;
        const Json& layers = transformer_layers_[i];
        for (std::size_t r = 0; wanted && r < static_cast<std::size_t>(resnets); ++r) {
            const bool has_entry = !layers.is_array() || r < layers.size();
            const Json& entry = layers.is_array() && has_entry ? layers[r] : layers;
            if (!has_entry || !entry.is_number_integer())
                usage_error("{}: \"{}\" must give an integer for each of {} transformers, found {}",
                            config_.file, kLayersKey, resnets, layers.dump());
            const auto depth = entry.get<std::int64_t>();
            check_range(config_, kLayersKey, depth, 0, kMaxDepth);
            result.push_back({heads_[i], depth});
        }
        return result;
    }

    const Config& config_;
    std::vector<bool> down_types_, up_types_;
    std::vector<std::int64_t> channels_, layers_, heads_;
    std::vector<Json> transformer_layers_;
};

/// Each layer is within bounds, but all together could still fill the memory.
void check_size(const UNetSpatioTemporalConfig& unet, const Config& config) {
    constexpr std::int64_t kMaxTransformerBlocks = 2048;
    std::int64_t total = unet.mid_transformer.layers;
    for (const auto* blocks : {&unet.down_blocks, &unet.up_blocks})
        for (const auto& block : *blocks)
            for (const auto& transformer : block.transformers) total += transformer.layers;
    if (total > kMaxTransformerBlocks)
        usage_error("{}: \"transformer_layers_per_block\" makes {} blocks, expected {} at most", config.file,
                    total, kMaxTransformerBlocks);
}

}  // namespace

UNetSpatioTemporalConfig UNetSpatioTemporalConfig::from(const Config& config) {
    warn_of_unknown_keys(config, kKeys);
    const Blocks blocks(config);
    UNetSpatioTemporalConfig result;
    result.in_channels = get_size(config, "in_channels", 8);
    result.out_channels = get_size(config, "out_channels", 4);
    if (config.has("sample_size")) {
        const auto sizes = get_sizes(config, "sample_size", 2, 0);
        result.sample_height = sizes[0];
        result.sample_width = sizes[1];
    }
    result.timestep = {blocks.first_channels(), true, 0};
    result.added_id = {get_size(config, "addition_time_embed_dim", 256), true, 0};
    const auto total = get_size(config, "projection_class_embeddings_input_dim", 768, 64 * kMaxWidth);
    if (total % result.added_id.width != 0)
        usage_error(
            "{}: \"projection_class_embeddings_input_dim\" is {}, expected a multiple of "
            "\"addition_time_embed_dim\", {}",
            config.file, total, result.added_id.width);
    result.added_ids = total / result.added_id.width;
    result.context_width = blocks.context_width();
    result.num_frames = get_size(config, "num_frames", 25, kMaxDepth);
    result.down_blocks = blocks.down();
    result.up_blocks = blocks.up();
    result.mid_transformer = blocks.mid();
    check_size(result, config);
    return result;
}

}  // namespace reprise::models
