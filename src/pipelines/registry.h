#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "pipelines/diffusion_pipeline.h"

namespace reprise::pipelines {

/// A component that a class of pipeline reads.
struct Part {
    std::string_view name;
    std::span<const std::string_view> classes;  ///< that it may be of; empty: any
};

/// A class of pipeline that Reprise runs.
struct PipelineClass {
    std::string_view name;          ///< in diffusers, as model_index.json has it
    std::string_view denoiser;      ///< which component that is: "unet", "transformer"
    double guidance_scale = 5;      ///< diffusers' default
    int num_inference_steps = 50;   ///< diffusers' default
    std::int64_t text_tokens = 77;  ///< of a prompt, where no text encoder says it
    std::span<const Part> parts;    ///< other components are named as unused
    std::unique_ptr<DiffusionPipeline> (*make)(PipelineParts parts) = nullptr;
};

/// All of them: the list to add a pipeline to.
std::span<const PipelineClass> pipeline_classes();

/// Opens a model. With `structure_only` no weights are opened, and text encoders may be missing: it makes
/// outlooks and plans, but nothing runs. `backend`, where it is given, is the one that computes. Usage error
/// naming what is missing, broken or not supported. Which variant of the weights a source has is its own to
/// say.
std::unique_ptr<DiffusionPipeline> open_pipeline(std::shared_ptr<const ModelSource> model,
                                                 const LoadOptions& options, bool structure_only = false,
                                                 std::shared_ptr<backends::Backend> backend = nullptr);
/// Opens a folder in diffusers' layout.
std::unique_ptr<DiffusionPipeline> open_pipeline(const std::filesystem::path& folder,
                                                 const LoadOptions& options, bool structure_only = false,
                                                 std::shared_ptr<backends::Backend> backend = nullptr);

}  // namespace reprise::pipelines
