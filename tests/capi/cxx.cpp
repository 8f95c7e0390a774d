#include "capi/cxx.h"

#include <algorithm>
#include <cstring>

#include "reprise/reprise.h"

bool cxx_gives(const cxx_run* run, const reprise_result* result) {
    auto pipe = reprise::Pipeline::from_pretrained(run->folder);
    reprise::GenerateOptions options;
    if (run->prompt != nullptr) options.prompt = run->prompt;
    options.num_inference_steps = run->steps;
    options.seed = run->seed;
    if (run->image != nullptr) {
        const auto bytes = static_cast<std::size_t>(run->image->width * run->image->height * 3);
        options.image = {run->image->width, run->image->height, {run->image->rgb, run->image->rgb + bytes}};
    }
    if (run->latents != nullptr) {
        const reprise::Shape shape(run->latents->shape, run->latents->shape + run->latents->rank);
        options.latents = reprise::Tensor::from(
            shape, std::span(run->latents->values, static_cast<std::size_t>(reprise::element_count(shape))));
    }
    if (run->policy != nullptr)
        reprise::cachify::prepare(pipe, options, reprise::cachify::make_policy(pipe, run->policy, options));
    const auto expected = pipe(options);

    reprise_tensor latents;
    if (!reprise_result_latents(result, &latents)) return false;
    if (reprise::Shape(latents.shape, latents.shape + latents.rank) != expected.latents.shape() ||
        std::memcmp(latents.values, expected.latents.data(), expected.latents.bytes()) != 0)
        return false;
    if (reprise_result_image_count(result) != expected.images.size()) return false;
    for (std::size_t i = 0; i < expected.images.size(); ++i) {
        reprise_image image;
        const auto pixels = expected.images[i].pixels();
        if (!reprise_result_image(result, i, &image) || image.width != expected.images[i].width() ||
            image.height != expected.images[i].height() ||
            !std::equal(pixels.begin(), pixels.end(), image.rgb))
            return false;
    }
    return true;
}
