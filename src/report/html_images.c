/* Grids of pictures. */
#include "report/html.h"

#include "base/mem.h"
#include "report/colormap.h"
#include "report/html_parts.h"
#include "report/image.h"

#include <stdio.h>

/* Below this many pixels across, a picture is enlarged with sharp pixels; what a row of pictures may take across. */
enum { SMALL_PIXELS = 160, SCALE_PIXELS = 128, ROW_PIXELS = 1050, ROW_GAP = 10, MOST_PIXELS = 168 };

/* The picture as a data URI inside an <img>. */
static bnf_status put_image(bnf_buf *b, const bnf_html_image *image, const char *attributes)
{
    uint8_t *png = NULL;
    size_t bytes = 0;
    BNF_TRY(bnf_png_encode(image->pixels, image->height, image->width, image->channels, &png, &bytes));
    const size_t length = bnf_base64_length(bytes);
    bnf_buf_printf(b, "<img width=\"%lld\" height=\"%lld\"%s alt=\"", (long long)image->width, (long long)image->height,
                   attributes);
    bnf_html_escape(b, image->alt);
    bnf_buf_puts(b, "\" src=\"data:image/png;base64,");
    if (bnf_buf_reserve(b, length + 1) == BNF_OK) {
        bnf_base64_encode(png, bytes, b->data + b->size);
        b->size += length;
        b->data[b->size] = '\0';
    }
    bnf_buf_puts(b, "\">");
    bnf_free(png);
    return BNF_OK;
}

/* The whole factor by which a picture of a row of `columns` is enlarged. */
static int64_t row_factor(int64_t width, int columns)
{
    int64_t room = ROW_PIXELS / columns - ROW_GAP < MOST_PIXELS ? ROW_PIXELS / columns - ROW_GAP : MOST_PIXELS;
    return room > width ? room / width : 1;
}

static bnf_status put_figure(bnf_buf *b, const bnf_html_card *card, int i)
{
    const bnf_html_image *image = &card->images[i];
    char attributes[96];
    const char *sharp = image->width < SMALL_PIXELS ? " class=\"sharp\"" : "";
    if (card->columns > 0)
        snprintf(attributes, sizeof attributes, "%s style=\"width:min(100%%,%lldpx)\"", sharp,
                 (long long)(image->width * row_factor(image->width, card->columns)));
    else
        snprintf(attributes, sizeof attributes, "%s", sharp);
    bnf_buf_puts(b, "<figure>");
    BNF_TRY(put_image(b, image, attributes));
    bnf_buf_puts(b, "<figcaption>");
    bnf_html_escape(b, image->label);
    bnf_buf_puts(b, "</figcaption></figure>");
    return BNF_OK;
}

static bnf_status put_card(bnf_buf *b, const bnf_html_card *card)
{
    const int columns = card->columns > 0 ? card->columns : card->image_count;
    bnf_buf_printf(b, "<li class=\"card%s%s\">", card->columns > 0 ? " wide" : "", card->flagged ? " flagged" : "");
    bnf_buf_puts(b, "<p class=\"card-title\">");
    bnf_html_escape(b, card->title);
    bnf_buf_puts(b, card->flagged ? " <span class=\"flag\">wrong</span></p>" : "</p>");
    bnf_buf_printf(b, "<div class=\"pics\" style=\"--n:%d\">", columns);
    for (int i = 0; i < card->image_count; i++) {
        if (card->row_titles && i % columns == 0) {
            bnf_buf_puts(b, "<p class=\"row-title\">");
            bnf_html_escape(b, card->row_titles[i / columns]);
            bnf_buf_puts(b, "</p>");
        }
        BNF_TRY(put_figure(b, card, i));
    }
    bnf_buf_puts(b, "</div>");
    if (card->note != NULL) {
        bnf_buf_puts(b, "<p class=\"card-note\">");
        bnf_html_escape(b, card->note);
        bnf_buf_puts(b, "</p>");
    }
    bnf_buf_puts(b, "</li>\n");
    return BNF_OK;
}

void bnf_html_images(bnf_html *h, const char *caption, const bnf_html_card *cards, int64_t count)
{
    bnf_buf *b = &h->body;
    bnf_html_block(h);
    bnf_buf_puts(b, "<figure class=\"gallery\"><figcaption>");
    bnf_html_escape(b, caption);
    bnf_buf_puts(b, "</figcaption>\n<ul class=\"cards\">\n");
    for (int64_t i = 0; i < count && h->status == BNF_OK; i++)
        h->status = put_card(b, &cards[i]);
    bnf_buf_puts(b, "</ul></figure>\n");
}

void bnf_html_scale(bnf_html *h, int map, const char *low, const char *high)
{
    uint8_t rgb[SCALE_PIXELS * 3];
    bnf_buf *b = &h->body;
    for (int i = 0; i < SCALE_PIXELS; i++) {
        const double part = (double)i / (SCALE_PIXELS - 1);
        bnf_colormap_color((bnf_colormap)map, map == BNF_COLORMAP_SIGNED ? 2.0 * part - 1.0 : part, rgb + 3 * i);
    }
    const bnf_html_image strip = {
        .pixels = rgb, .height = 1, .width = SCALE_PIXELS, .channels = 3, .alt = "colour scale"};
    bnf_html_block(h);
    bnf_buf_puts(b, "<p class=\"scale\"><span>");
    bnf_html_escape(b, low);
    bnf_buf_puts(b, "</span>");
    if (h->status == BNF_OK)
        h->status = put_image(b, &strip, "");
    bnf_buf_puts(b, "<span>");
    bnf_html_escape(b, high);
    bnf_buf_puts(b, "</span></p>\n");
}
