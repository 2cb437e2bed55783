// A program as users write it, on the client that openapi-generator makes of openapi.json.
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.api.ContactsApi;
import org.openapitools.client.model.Contact;
import org.openapitools.client.model.ContactChanges;
import org.openapitools.client.model.ContactChangesWithId;
import org.openapitools.client.model.ContactList;
import org.openapitools.client.model.Error;
import org.openapitools.client.model.Error.StatusCodeEnum;
import org.openapitools.client.model.NewContact;
import org.openapitools.client.model.SelectedContact;

public class Client {
  static void check(boolean holds, Object seen) {
    if (!holds) throw new AssertionError(seen);
  }

  interface Call {
    void run() throws Exception;
  }

  static void fails(Call call, int status, StatusCodeEnum statusCode) throws Exception {
    try {
      call.run();
    } catch (ApiException exception) {
      check(exception.getCode() == status, exception);
      var error = ApiClient.createDefaultObjectMapper()
          .readValue(exception.getResponseBody(), Error.class);
      check(error.getStatusCode() == statusCode, error);
      return;
    }
    throw new AssertionError("no " + status);
  }

  static ContactsApi as(String url, String header, String value) {
    ApiClient client = new ApiClient();
    client.updateBaseUri(url);
    client.setRequestInterceptor(request -> request.header(header, value));
    return new ContactsApi(client);
  }

  static List<String> names(ContactsApi api, ContactsApi.APIListContactsRequest.Builder query) throws ApiException {
    return api.listContacts(query.build()).getContacts().stream().map(SelectedContact::getName).toList();
  }

  static ContactsApi.APIListContactsRequest.Builder query() {
    return ContactsApi.APIListContactsRequest.newBuilder();
  }

  public static void main(String[] arguments) throws Exception {
    ContactsApi admin = as(arguments[0], "X-Role", "Contact Center Admin");
    ContactsApi agent = as(arguments[0], "Authorization", "Bearer " + arguments[1]);
    ContactsApi nobody = as(arguments[0], "X-Nothing", "");

    // Create
    List<String> expected = Stream.of("Ann", "Bob", "Cid", "Dee", "Eve").map(name -> "Typed " + name).toList();
    List<Contact> created = new ArrayList<>();
    for (String name : expected) {
      created.add(admin.createContact(new NewContact().name(name).phoneNumber("555-0100")).getContact());
    }
    Contact ann = created.get(0);
    check(ann.getType() == Contact.TypeEnum.CUSTOM, ann);

    // List, search, page
    List<String> seen = names(agent, query().name(List.of("Typed Ann", "Typed Bob")));
    check(seen.equals(expected.subList(0, 2)), seen);
    seen = names(agent, query().type(List.of("User", "Queue")).fields(List.of("name", "type")));
    check(seen.equals(List.of("Joe Johnson", "Sales")), seen);
    seen = names(agent, query().filterName("NamesOrPhoneNumberMatches").filterParameters(List.of("typed*", "*e*")));
    check(seen.equals(expected), seen);
    seen = new ArrayList<>();
    ContactList page;
    do {
      page = agent.listContacts(query().q("typed").offset(seen.size()).limit(2).build());
      page.getContacts().stream().map(SelectedContact::getName).forEach(seen::add);
    } while (seen.size() < page.getTotalCount());
    check(seen.equals(expected), seen);

    // Get, update
    var read = agent.getContactWithHttpInfo(ann.getId(), null, null, null);
    check(read.getData().getContact().getPhoneNumber().equals("555-0100"), read.getData());
    String tag = read.getHeaders().get("etag").get(0);
    Contact changed = admin.updateContact(ann.getId(), new ContactChanges().name("Typed Anna"), tag).getContact();
    check(changed.getName().equals("Typed Anna"), changed);
    changed = admin.updateContactById(new ContactChangesWithId().id(ann.getId()).name("Typed Ann"), null).getContact();
    check(changed.equals(ann), changed);

    // Errors
    String joe = agent.listContacts(query().userName(List.of("joej")).build()).getContacts().get(0).getId();
    fails(() -> nobody.listContacts(query().build()), 401, StatusCodeEnum.UNAUTHENTICATED);
    fails(() -> agent.createContact(new NewContact().name("x")), 403, StatusCodeEnum.ROLE);
    fails(() -> admin.deleteContact(joe, null), 403, StatusCodeEnum.READ_ONLY_CONTACT);
    fails(() -> agent.getContact("0".repeat(32), null, null, null), 404, StatusCodeEnum.NOT_FOUND);
    fails(() -> admin.deleteContact(ann.getId(), "\"stale\""), 412, StatusCodeEnum.INVALID);
    fails(() -> admin.createContact(new NewContact().name("x".repeat(70_000))), 413, StatusCodeEnum.INVALID);
    fails(() -> admin.createContact(new NewContact()), 422, StatusCodeEnum.MISSING);
    fails(() -> admin.createContact(new NewContact().name("x".repeat(256))), 422, StatusCodeEnum.RANGE);

    // Delete
    for (Contact contact : created.subList(1, 5)) {
      admin.deleteContact(contact.getId(), null);
    }
    admin.deleteContactById(ann.getId(), null);
    fails(() -> admin.deleteContactById(ann.getId(), null), 404, StatusCodeEnum.NOT_FOUND);
    System.out.println("all is well");
  }
}
