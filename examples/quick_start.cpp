// The shortest use of Reprise: run it in the repository's root, and it writes apple.png.
#include <reprise/reprise.h>

int main() {
    auto pipe = reprise::Pipeline::from_pretrained("models/emoji-sdxl");
    reprise::cachify::prepare(pipe, 20, reprise::cachify::SDXL_DEFAULT_CONFIG);
    auto out = pipe({.prompt = "red apple", .num_inference_steps = 20, .seed = 42});
    out.images[0].save("apple.png");
}
