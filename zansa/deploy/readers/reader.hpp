// From decoded levels to the network's input, as the training did it. C++17, no library.
// image: height x width x channels levels (gray, or red, green, blue), row by row. Values: preprocess.json.
// Returns channels x size.height x size.width floats: one sample of the input "pixels".
#include <algorithm>
#include <cmath>
#include <vector>

struct Use { int height, width, channels; bool letterbox; std::vector<float> fill, mean, std; double most = 255; };

inline std::vector<std::vector<double>> triangles(int given, int target) {
    double ratio = double(given) / target, reach = std::max(ratio, 1.0);
    std::vector<std::vector<double>> rows(target, std::vector<double>(given));
    for (int t = 0; t < target; t++) {
        double sum = 0;
        for (int g = 0; g < given; g++)
            sum += rows[t][g] = std::max(0.0, 1 - std::abs(g + 0.5 - (t + 0.5) * ratio) / reach);
        for (double& weight : rows[t]) weight /= sum;
    }
    return rows;
}

template <class Level>
std::vector<float> pixels(const Level* image, int height, int width, const Use& use) {
    int h = use.height, w = use.width, channels = use.channels;
    long H = height, W = width;
    if (use.letterbox && long(h) * W > long(w) * H) h = std::max(1L, (2 * H * use.width + W) / (2 * W));
    else if (use.letterbox) w = std::max(1L, (2 * W * use.height + H) / (2 * H));
    int top = (use.height - h) / 2, left = (use.width - w) / 2;
    auto rows = triangles(height, h), columns = triangles(width, w);
    std::vector<float> out(size_t(channels) * use.height * use.width);
    for (int c = 0; c < channels; c++) {
        std::vector<double> low(size_t(h) * width);
        for (int y = 0; y < h; y++) for (int g = 0; g < height; g++) if (double weight = rows[y][g])
            for (int x = 0; x < width; x++) low[size_t(y) * width + x] += weight * image[(size_t(g) * width + x) * channels + c];
        for (int y = 0; y < use.height; y++) for (int x = 0; x < use.width; x++) {
            double level = use.fill[c], sum = 0;
            if (y >= top && y < top + h && x >= left && x < left + w) {
                for (int g = 0; g < width; g++) sum += columns[x - left][g] * low[size_t(y - top) * width + g];
                level = std::clamp(std::floor(sum + 0.5 + 1e-6), 0.0, use.most);
            }
            out[(size_t(c) * use.height + y) * use.width + x] = float(level - use.mean[c]) / use.std[c];
        }
    }
    return out;
}
