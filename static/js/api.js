// Shows the interactive description of the API, dark when the system is.

const place = document.querySelector("[data-openapi-url]");
const scheme = window.matchMedia("(prefers-color-scheme: dark)");

followScheme();
scheme.addEventListener("change", followScheme);

if (window.SwaggerUIBundle) {
  window.SwaggerUIBundle({
    url: place.dataset.openapiUrl,
    domNode: place,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    showExtensions: true, // which permission an operation asks for
    validatorUrl: null, // it would send the description to a foreign server
    onComplete: nameLandmarks,
  });
} else {
  place.textContent = "The interactive description could not be loaded. Use openapi.json above.";
}

// Swagger UI brings a second <main>; a page has one.
function nameLandmarks() {
  place.querySelectorAll("main").forEach((main) => {
    main.setAttribute("role", "group");
    main.setAttribute("aria-label", "Operations");
  });
}

function followScheme() {
  document.documentElement.classList.toggle("dark-mode", scheme.matches);
}
