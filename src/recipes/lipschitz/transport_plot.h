/* recipes/lipschitz/transport_plot.h - the transport plan of a network over the plane, as a picture. */
#ifndef BNF_RECIPES_LIPSCHITZ_TRANSPORT_PLOT_H
#define BNF_RECIPES_LIPSCHITZ_TRANSPORT_PLOT_H

#include "recipes/lipschitz/certify.h"
#include "report/html.h"

/* For networks with two inputs and one output; does nothing for others. Adds to the report a section with points of the
 * certificate's split, the decision boundary, level sets of f and arrows x -> x - f grad f, and writes the picture to
 * FOLDER/transport.svg too. Collective; html is NULL on ranks that write no report. Errors: those of
 * bnf_lipschitz_transport_create; BNF_ERR_IO naming the file. */
bnf_status bnf_lipschitz_transport_plot(bnf_run *run, const bnf_lipschitz_certificate *certificate, bnf_html *html);

#endif
